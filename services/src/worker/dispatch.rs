//! One submit: the audio is looked for, addresses are signed, Modal is asked.

use std::pin::pin;
use std::time::Duration;

use events::capability::Grant;
use events::event::Progressed;
use events::seen::SubmitOutcome;
use events::wire::dispatch::SubmitBody;
use events::{Attempt, Code, Job, JobId, Spec, key, stage};

use super::Worker;
use crate::{bucket, clock};

/// How long the audio's address lasts; a claim gives a fresh one.
const AUDIO_LIFETIME: Duration = Duration::from_hours(1);
/// What takes no longer is not told of: nobody could see it, and a report costs as much as a fact.
const UNTOLD: Duration = Duration::from_millis(100);
/// How much longer than the job's total deadline its callbacks are taken, and the video's address lasts.
const SLACK: Duration = Duration::from_hours(24);

impl Worker {
    /// Asks Modal to take an attempt. Nothing here spends an attempt by itself.
    /// `is_first`: nobody can have held the job before; else it may be the job that ends its workers, and what is done with
    /// it is told at once.
    pub(super) async fn dispatch(&self, id: JobId, job: &Job, n: Attempt, is_first: bool) -> SubmitOutcome {
        let (Some(spec), Some(requested)) = (job.spec(), &job.requested) else {
            return SubmitOutcome::Refused(Code::InvalidRequest.into());
        };
        let patience = if is_first { UNTOLD } else { Duration::ZERO };
        let telling = |stage| async move {
            tokio::time::sleep(patience).await;
            self.stage(id, n, stage).await;
        };
        let resolving = self.resolve(id, n, &spec.audio);
        let audio = match beside(resolving, telling(stage::RESOLVING_AUDIO)).await {
            Ok(audio) => audio,
            Err(outcome) => return outcome,
        };
        let body = self.body(id, spec, &audio, n);
        let outcome = beside(self.modal.submit(&body), telling(stage::DISPATCHING)).await;
        self.circuit.note(&outcome);
        let waited = job.first_dispatch().is_none().then(|| clock::now().since(requested.time));
        self.counted.dispatched(&outcome, waited);
        tracing::info!(job.id = %id, job.attempt = %n, outcome = outcome.name(), "dispatched");
        outcome
    }

    fn body(&self, id: JobId, spec: &Spec, audio: &events::AudioKey, n: Attempt) -> SubmitBody {
        let upload_key = key::output(id, n);
        let lifetime = Duration::from_secs(spec.deadline_seconds.into()) + SLACK;
        let grant = Grant { job: id, attempt: n, expires: clock::now() + lifetime };
        SubmitBody {
            job_id: id,
            attempt: n,
            idempotency_key: SubmitBody::idempotency_key(id, n),
            config: spec.config(),
            audio_signed_url: self.bucket.sign_get(&audio.to_string(), AUDIO_LIFETIME),
            audio_ext: audio.extension().to_owned(),
            upload_signed_url: self.bucket.sign_put(&upload_key, lifetime),
            r2_upload_key: upload_key,
            callback_url: self.callback_url.to_string(),
            webhook_url: format!("{}/api/webhooks/worker", self.callback_url),
            webhook_secret: self.roots.mint(&grant),
            gpu: spec.output_format.needs_gpu(),
        }
    }

    /// The store is down or slow: no attempt is spent.
    pub(super) fn later(&self, id: JobId, n: Attempt, error: &bucket::Error) -> SubmitOutcome {
        tracing::warn!(job.id = %id, job.attempt = %n, error = crate::chain(error), "not dispatched yet");
        SubmitOutcome::RetryAfter(clock::now() + self.policy.pause(3))
    }

    async fn stage(&self, id: JobId, n: Attempt, (stage, progress): (&str, u8)) {
        self.log.report(id, Progressed { stage: Some(stage.into()), ..Progressed::new(n, progress) }).await;
    }
}

/// What comes of doing something, while something else is done beside it, as far as that gets.
async fn beside<T>(doing: impl Future<Output = T>, telling: impl Future<Output = ()>) -> T {
    let (mut doing, mut telling) = (pin!(doing), pin!(telling));
    tokio::select! {
        biased;
        done = &mut doing => done,
        () = &mut telling => doing.await,
    }
}
