//! `kiln render`: the program that runs in the GPU container. It claims its attempt, fetches the audio, renders, stores
//! the video, and tells the webhook. Its last line on standard output is one JSON [`RenderResult`], however it ends;
//! everything else goes to the log.
//!
//! It leaves nothing behind: the renderer's processes are stopped and the temporary files removed before it prints.
//!
//! | it ends | and tells the webhook |
//! |---|---|
//! | with a video | `complete`, for at most [`Args::callback_grace_s`] |
//! | with a failure | `failed`, likewise |
//! | because another call has the attempt, or the attempt is over | nothing |
//! | by a signal, once the video is stored | what it can still say: the video stays |
//! | by a signal before that | nothing: a provider that preempts restarts the same input, which claims again; a provider that stops it was told to |

use std::io::{self, Write};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use events::wire::callback::ReportedOutput;
use events::wire::dispatch::RenderResult;
use events::{Code, Failure, Secret};
use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;

mod callback;
mod digest;
mod flow;
mod order;
mod transfer;

/// What `--help` teaches.
const EXAMPLES: &str = "\
Offline, without any server:

  kiln render --config '{\"mode\": \"mist\", \"fps\": 60}' --audio song.flac --output out.mp4
  kiln render --config mist.json --audio song.flac --output out.mp4

The configuration's fields, all optional:

  outputFormat    flat-1080p-landscape (default), flat-1080p-portrait, flat-1080p-square,
                  flat-4k-landscape, flat-4k-portrait,
                  360-mono-4k, 360-mono-6k, 360-mono-8k, 360-stereo-8k
  fps             30 (default), 60
  mode            flame (default), mist
  renderSettings  {\"colors\": [\"#ff2d16\"], \"background\": \"#07030c\", \"intensity\": 1}

KILN_RENDER_COMMAND names a renderer of your own.

In a container everything is in the environment; --job-id, --callback-url and --webhook-secret are \
enough where the other side knows claims: the claim gives the rest.

However it ends, its last line on standard output is one JSON object: {\"ok\": true, \"encoder\": \"libx264\", ...}, \
or {\"ok\": false, \"code\": \"audio_unreadable\", \"error\": \"...\", \"retryable\": false} with exit code 1. \
Everything else goes to standard error.";

/// Renders one attempt in a container, or offline with `--audio` and `--output`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// What to render: JSON, or the path of a JSON file
    #[arg(long, env = "KILN_CONFIG", hide_env_values = true)]
    pub config: Option<String>,
    /// A local file with the sound
    #[arg(long)]
    pub audio: Option<PathBuf>,
    /// Where to get the sound, signed
    #[arg(long, env = "KILN_AUDIO_SIGNED_URL", hide_env_values = true)]
    pub audio_signed_url: Option<Secret>,
    /// A local file for the video: no server is asked or told anything
    #[arg(long)]
    pub output: Option<PathBuf>,
    /// The job
    #[arg(long, env = "KILN_JOB_ID")]
    pub job_id: Option<String>,
    /// The attempt
    #[arg(long, env = "KILN_ATTEMPT")]
    pub attempt: Option<String>,
    /// The base address for claim and progress
    #[arg(long, env = "KILN_CALLBACK_URL", hide_env_values = true)]
    pub callback_url: Option<String>,
    /// Where to tell the end [default: {callback-url}/api/webhooks/worker]
    #[arg(long, env = "KILN_WEBHOOK_URL", hide_env_values = true)]
    pub webhook_url: Option<String>,
    /// The capability for both
    #[arg(long, env = "KILN_WEBHOOK_SECRET", hide_env_values = true)]
    pub webhook_secret: Option<Secret>,
    /// The video's key [default: renders/{jobId}/output.mp4]
    #[arg(long, env = "KILN_R2_UPLOAD_KEY")]
    pub r2_upload_key: Option<String>,
    /// Where to put the video, signed
    #[arg(long, env = "KILN_UPLOAD_SIGNED_URL", hide_env_values = true)]
    pub upload_signed_url: Option<Secret>,
    /// The provider's name for the call
    #[arg(long, env = "KILN_CALL_ID", default_value = "", hide = true)]
    pub call_id: String,
    /// The provider's name for the call's input
    #[arg(long, env = "KILN_INPUT_ID", default_value = "", hide = true)]
    pub input_id: String,
    /// The provider's name for the container
    #[arg(long, env = "KILN_TASK_ID", default_value = "", hide = true)]
    pub task_id: String,
    /// The trace that its callbacks belong to
    #[arg(long, env = "KILN_TRACEPARENT", hide = true)]
    pub traceparent: Option<String>,
    /// Largest audio in bytes
    #[arg(long, env = "KILN_MAX_AUDIO_BYTES", default_value_t = 2 << 30)]
    pub max_audio_bytes: u64,
    /// Seconds for which an unreachable webhook is asked for the claim; then the render goes on without one
    #[arg(long, env = "KILN_CLAIM_PATIENCE_S", default_value_t = 120)]
    pub claim_patience_s: u64,
    /// Seconds for which an unreachable webhook is told the end
    #[arg(long, env = "KILN_CALLBACK_GRACE_S", default_value_t = 15)]
    pub callback_grace_s: u64,
}

/// Why there is no video.
#[derive(Debug)]
enum Ending {
    /// The attempt failed.
    Failed(Failure),
    /// Another call or input has this attempt.
    ClaimedElsewhere,
    /// The job or the attempt has ended.
    Over,
    /// We were asked to stop.
    Interrupted,
}

impl From<Failure> for Ending {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<io::Error> for Ending {
    fn from(error: io::Error) -> Self {
        Self::Failed(storage_failure(&error))
    }
}

/// What an error of the container's own disk means for the job.
fn storage_failure(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            Code::DiskFull.into()
        }
        _ => Failure::reported(Code::ContainerCrashed, &format!("the container's disk failed: {error}"), true),
    }
}

/// Runs, prints the result, and gives the exit code: 0 with a video, or if there was nothing to do; else 1.
pub async fn main(args: &Args, stop: &CancellationToken) -> ExitCode {
    let result = run(args, stop).await;
    let is_idle = |code: &str| [RenderResult::CLAIMED_ELSEWHERE, RenderResult::OVER].contains(&code);
    let is_fine = result.ok || result.code.as_deref().is_some_and(is_idle);
    match print(&result) {
        Ok(()) if is_fine => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn print(result: &RenderResult) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{}", serde_json::to_string(result)?)?;
    output.flush()
}

/// Renders one attempt. It always comes back with a result, and never before its temporary files are gone.
pub async fn run(args: &Args, stop: &CancellationToken) -> RenderResult {
    let work = async {
        match &args.output {
            Some(output) => Box::pin(flow::offline(args, output, stop)).await,
            None => Box::pin(flow::online(args, stop)).await,
        }
    };
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(Ok(output)) => RenderResult { ok: true, output: Some(output), code: None, error: None, retryable: None },
        Ok(Err(ending)) => ending.into(),
        Err(_) => Ending::Failed(Failure::reported(Code::Internal, "`kiln render` panicked", true)).into(),
    }
}

impl From<Ending> for RenderResult {
    fn from(ending: Ending) -> Self {
        let (code, error, retryable) = match ending {
            Ending::Failed(failure) => (failure.code.to_string(), failure.message, failure.retryable),
            Ending::ClaimedElsewhere => (Self::CLAIMED_ELSEWHERE.into(), "another call has this attempt".into(), false),
            Ending::Over => (Self::OVER.into(), "the job or this attempt has ended".into(), false),
            Ending::Interrupted => (Code::ContainerCrashed.to_string(), "the render was interrupted".into(), true),
        };
        Self { ok: false, output: None, code: Some(code), error: Some(error), retryable: Some(retryable) }
    }
}

/// What a finished video is, as the webhook is told.
async fn describe(
    video: &Path,
    key: Option<String>,
    format: events::OutputFormat,
    film: &crate::film::Film,
) -> io::Result<ReportedOutput> {
    let (size_bytes, sha256) = digest::of_file(video).await?;
    Ok(ReportedOutput {
        video_key: key,
        format: serde_json::to_value(format)?.as_str().map(str::to_owned),
        duration_seconds: Some(film.duration_seconds),
        size_bytes: Some(size_bytes),
        sha256: Some(sha256),
        encoder: Some(film.encoder.clone()),
        ..ReportedOutput::default()
    })
}
