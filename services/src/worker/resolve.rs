//! Where a job's audio is. Audio by URL is fetched into the bucket first, and then is like any other.

use events::seen::SubmitOutcome;
use events::spec::Audio;
use events::{Attempt, AudioKey, Code, Failure, JobId};

use super::Worker;
use crate::{audio, clock, fetch};

/// How often an address is asked that does not answer.
const TRIES: u32 = 5;

impl Worker {
    /// The key of audio that is in the bucket, or what comes of the submit without it.
    pub(super) async fn resolve(&self, id: JobId, n: Attempt, audio: &Audio) -> Result<AudioKey, SubmitOutcome> {
        match audio {
            // Boxed, since shepherds are many, and all but few of them wait with nothing asked of the store.
            Audio::Stored { key, .. } => match Box::pin(self.bucket.head(&key.to_string())).await {
                Ok(Some(_)) => Ok(key.clone()),
                Ok(None) => Err(SubmitOutcome::Refused(Code::AudioMissing.into())),
                Err(error) => Err(self.later(id, n, &error)),
            },
            Audio::Remote { url, .. } => match Box::pin(audio::find(&self.bucket, id)).await {
                Ok(Some(key)) => Ok(key),
                Ok(None) => Box::pin(self.fetched(id, n, url)).await,
                Err(error) => Err(self.later(id, n, &error)),
            },
        }
    }

    async fn fetched(&self, id: JobId, n: Attempt, url: &str) -> Result<AudioKey, SubmitOutcome> {
        let Some(rules) = &self.audio_urls else {
            let failure = Failure::new(Code::AudioUrlRefused, "audio by URL is not allowed here");
            return Err(SubmitOutcome::Refused(failure));
        };
        let mut news = self.hints.subscribe(id);
        tokio::select! {
            fetched = self.fetch(id, n, rules, url) => fetched,
            // It may be cancelled: look at the job, and begin anew if it still wants its audio.
            () = news.changed() => Err(SubmitOutcome::RetryAfter(clock::now())),
        }
    }

    async fn fetch(&self, id: JobId, n: Attempt, rules: &fetch::Rules, url: &str) -> Result<AudioKey, SubmitOutcome> {
        let mut tries = 1;
        loop {
            match rules.fetch(&self.bucket, id, url).await {
                Ok(key) => return Ok(key),
                Err(fetch::Refusal::Store(error)) => return Err(self.later(id, n, &error)),
                Err(refusal) => {
                    let reason = crate::chain(&refusal);
                    tracing::warn!(job.id = %id, job.attempt = %n, tries, reason, "the audio was not fetched");
                    if tries == TRIES || !refusal.is_transient() {
                        // One sentence for all reasons: what is told here must not map our network.
                        return Err(SubmitOutcome::Refused(Code::AudioUrlRefused.into()));
                    }
                }
            }
            tokio::time::sleep(self.policy.pause(tries)).await;
            tries += 1;
        }
    }
}
