//! A container: one real `kiln render`, under a guard, so that it ends with us whatever happens.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::Stdio;

use events::wire::dispatch::{CallState, CallStatus, RenderResult, SubmitBody};
use events::{Code, Secret};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{ChildStdout, Command};
use tokio::sync::watch;

use super::calls::{Live, failed};
use super::faults::Fault;
use super::{Executor, new_name};
use crate::guard;

/// What of our own environment a container must not see.
const OURS: [&str; 8] = ["R2_", "MODAL_", "NATS_", "INTERNAL_", "PUBLIC_", "CALLBACK_", "AWS_", "KILN_"];
/// Except for these, which are about the machine.
const SHARED: [&str; 3] = ["KILN_FFMPEG", "KILN_CACHE", "KILN_RENDER_COMMAND"];

/// A submit that waits for its container.
pub(super) struct Work {
    pub(super) call_id: String,
    pub(super) input_id: String,
    pub(super) body: SubmitBody,
    pub(super) live: Live,
    pub(super) traceparent: Option<String>,
}

/// How a container ended.
enum End {
    /// By itself, with or without a result.
    Returned(Option<Box<RenderResult>>),
    Cancelled,
    Preempted,
    Crashed,
    /// The stand-in itself ends; the next one says what became of the call.
    Stopped,
}

impl Executor {
    /// From the queue to the end of the call.
    pub(super) async fn work(self, work: Work) {
        let Some(state) = self.attend(&work).await else { return };
        if let Err(error) = self.calls().end(&work.call_id, state) {
            tracing::error!(%error, "the end of a call could not be kept");
        }
    }

    /// The call's state at its end; `None` if the stand-in ended first.
    async fn attend(&self, work: &Work) -> Option<CallState> {
        let cancelled = CallState { status: CallStatus::Cancelled, result: None, error: None };
        let is_stuck = self.strikes(Fault::Stuck);
        let _slot = tokio::select! {
            slot = self.0.slots.acquire(), if !is_stuck => slot.ok()?,
            () = work.live.cancel.cancelled() => return Some(cancelled),
            () = self.0.stop.cancelled() => return None,
        };
        loop {
            match self.container(work).await {
                Ok(End::Returned(Some(result))) => {
                    return Some(CallState { status: CallStatus::Completed, result: Some(*result), error: None });
                }
                Ok(End::Returned(None) | End::Crashed) => return Some(failed(Code::ContainerCrashed)),
                Ok(End::Cancelled) => return Some(cancelled),
                Ok(End::Preempted) => {}
                Ok(End::Stopped) => return None,
                Err(error) => {
                    tracing::error!(%error, "a container could not be started");
                    return Some(failed(Code::ContainerCrashed));
                }
            }
        }
    }

    async fn container(&self, work: &Work) -> io::Result<End> {
        let doom = [Fault::Crash, Fault::Preempt].into_iter().find(|fault| self.strikes(*fault));
        work.live.is_rendering.send_replace(false);
        self.calls().change(&work.call_id, |record| record.containers += 1)?;
        let folder = tempfile::TempDir::new_in(self.temporary())?;
        let mut child = self.command(work, folder.path())?.spawn()?;
        let (pipe, output) = (child.stdin.take(), child.stdout.take());
        let end = tokio::select! {
            result = last_line(output) => End::Returned(result),
            () = work.live.cancel.cancelled() => End::Cancelled,
            () = self.0.stop.cancelled() => End::Stopped,
            () = begun(work.live.is_rendering.subscribe()), if doom.is_some() => match doom {
                Some(Fault::Crash) => End::Crashed,
                _ => End::Preempted,
            },
        };
        drop(pipe);
        child.wait().await?;
        Ok(end)
    }

    /// `kiln render` as the real app starts it: everything in its environment, nothing on its command line.
    fn command(&self, work: &Work, temporary: &Path) -> io::Result<Command> {
        let Self(inner) = self;
        let (settings, body) = (&inner.settings, &work.body);
        let log = File::options().create(true).append(true).open(self.log_of(&work.call_id))?;
        let mut command = guard::command(&settings.kiln, settings.kiln.as_os_str());
        command.arg("render").stdout(Stdio::piped()).stderr(log).env("TMPDIR", temporary);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if OURS.iter().any(|prefix| text.starts_with(prefix)) && !SHARED.contains(&&*text) {
                command.env_remove(&name);
            }
        }
        if let Some(ffmpeg) = &settings.ffmpeg {
            command.env("KILN_FFMPEG", ffmpeg);
        }
        command.envs(&settings.variables);
        let through = format!("{}/through/{}", settings.own_url, work.call_id);
        let secret = |secret: &Secret| secret.expose().to_owned();
        command.envs([
            ("KILN_JOB_ID", body.job_id.to_string()),
            ("KILN_ATTEMPT", body.attempt.to_string()),
            ("KILN_CALL_ID", work.call_id.clone()),
            ("KILN_INPUT_ID", work.input_id.clone()),
            ("KILN_TASK_ID", new_name("ta")),
            ("KILN_WEBHOOK_SECRET", secret(&body.webhook_secret)),
            ("KILN_WEBHOOK_URL", format!("{through}/webhook")),
            ("KILN_CALLBACK_URL", format!("{through}/callback")),
            ("KILN_AUDIO_SIGNED_URL", secret(&body.audio_signed_url)),
            ("KILN_UPLOAD_SIGNED_URL", secret(&body.upload_signed_url)),
            ("KILN_R2_UPLOAD_KEY", body.r2_upload_key.clone()),
            ("KILN_CONFIG", serde_json::to_string(&body.config)?),
        ]);
        if let Some(traceparent) = &work.traceparent {
            command.env("KILN_TRACEPARENT", traceparent);
        }
        Ok(command)
    }
}

/// The result in the last line, once the output ends.
async fn last_line(output: Option<ChildStdout>) -> Option<Box<RenderResult>> {
    let mut lines = BufReader::new(output?).lines();
    let mut last = None;
    while let Ok(Some(line)) = lines.next_line().await {
        last = Some(line);
    }
    serde_json::from_str(&last?).ok()
}

async fn begun(mut is_rendering: watch::Receiver<bool>) {
    if is_rendering.wait_for(|is_rendering| *is_rendering).await.is_err() {
        std::future::pending::<()>().await;
    }
}
