//! The steps of one attempt, in order.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use events::wire::callback::ReportedOutput;
use events::{Code, Failure, RenderConfig, Secret};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::callback::{Callback, Progress, Told};
use super::order::{self, Order};
use super::{Args, Ending, describe, digest, transfer};
use crate::bar::Bar;
use crate::bucket::Bucket;
use crate::film::{self, Film};

/// How long an upload with our own signature may wait for its turn.
const OWN_SIGNATURE: Duration = Duration::from_hours(6);
const DOWNLOADING: Progress = Progress { stage: "downloading-audio", percent: 30 };
const RENDERING: Progress = Progress { stage: "rendering", percent: 30 };
const UPLOADING: Progress = Progress { stage: "uploading-video", percent: 99 };

/// Without any server: a local file in, a local file out. The output appears whole or not at all.
pub(super) async fn offline(args: &Args, output: &Path, stop: &CancellationToken) -> Result<ReportedOutput, Ending> {
    let config = order::render_config(args)?;
    let audio = args.audio.as_deref().ok_or_else(|| order::invalid("`--output` needs `--audio`"))?;
    require(audio)?;
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let video = tempfile::Builder::new().prefix(".kiln-").suffix(".mp4").tempfile_in(folder)?;
    let bar = Bar::new();
    let film = render(&config, audio, video.path(), |done| bar.show("rendering", done * 100.0), stop).await?;
    let described = describe(video.path(), None, config.output_format, &film).await?;
    video.persist(output).map_err(|error| error.error)?;
    bar.finish();
    Ok(described)
}

/// Claim, work, report.
pub(super) async fn online(args: &Args, stop: &CancellationToken) -> Result<ReportedOutput, Ending> {
    let job = order::job(args)?;
    let callback = Callback::new(args, job);
    let claim = until(stop, callback.claim()).await?;
    let is_claimed = claim.is_some();
    let outcome = async {
        let order = Order::new(args, job, claim)?;
        let attempt = Attempt { args, callback: &callback, order, is_claimed };
        attempt.run(stop).await
    };
    let outcome = outcome.await;
    if let Err(Ending::Failed(failure)) = &outcome {
        tracing::warn!(job.id = %job, code = %failure.code, "the render failed: {}", failure.message);
        let _ = stop.run_until_cancelled(callback.failed(failure)).await;
    }
    outcome
}

/// One attempt that is ours.
struct Attempt<'a> {
    args: &'a Args,
    callback: &'a Callback,
    order: Order,
    is_claimed: bool,
}

impl Attempt<'_> {
    /// Works and tells how far it is, until done, stopped, or told that the attempt is over.
    async fn run(mut self, stop: &CancellationToken) -> Result<ReportedOutput, Ending> {
        let (progress, changes) = watch::channel(DOWNLOADING);
        let (halt, is_over, callback) = (stop.child_token(), AtomicBool::new(false), self.callback);
        let relay = async {
            callback.relay(changes).await;
            is_over.store(true, Ordering::Relaxed);
            halt.cancel();
            std::future::pending::<Infallible>().await
        };
        let outcome = tokio::select! {
            outcome = self.work(&progress, &halt) => outcome,
            never = relay => match never {},
        };
        match outcome {
            Ok(_) | Err(Ending::Interrupted) if is_over.load(Ordering::Relaxed) => Err(Ending::Over),
            outcome => outcome,
        }
    }

    async fn work(
        &mut self,
        progress: &watch::Sender<Progress>,
        halt: &CancellationToken,
    ) -> Result<ReportedOutput, Ending> {
        let folder = tempfile::Builder::new().prefix("kiln-render-").tempdir()?;
        let audio = until(halt, self.audio(folder.path())).await?;
        progress.send_replace(RENDERING);
        let on_progress = |fraction| {
            let percent = percent_of(fraction, RENDERING.percent, UPLOADING.percent);
            progress.send_if_modified(|last| {
                let is_new = percent > last.percent;
                last.percent = last.percent.max(percent);
                is_new
            });
        };
        let video = folder.path().join("output.mp4");
        let config = &self.order.config;
        let film = render(config, &audio, &video, on_progress, halt).await?;
        tracing::info!(render.encoder = film.encoder, render.seconds = film.duration_seconds, "the video is made");
        let key = Some(self.order.upload_key.clone());
        let output = describe(&video, key, config.output_format, &film).await?;
        progress.send_replace(UPLOADING);
        self.deliver(&video, &output, halt).await?;
        Ok(output)
    }

    /// The audio as a local file.
    async fn audio(&mut self, folder: &Path) -> Result<PathBuf, Ending> {
        if let Some(local) = &self.args.audio {
            require(local)?;
            return Ok(local.clone());
        }
        let path = folder.join(self.order.audio_name());
        let limit = self.args.max_audio_bytes;
        let missing = || order::invalid("`--audio` and `--audio-signed-url` are missing");
        let url = self.order.audio_url.clone().ok_or_else(missing)?;
        let mut outcome = transfer::download(&url, &path, limit).await;
        if matches!(outcome, Err(transfer::Error::Refused)) && self.renew().await? {
            let url = self.order.audio_url.clone().ok_or_else(missing)?;
            outcome = transfer::download(&url, &path, limit).await;
        }
        outcome.map_err(|error| error.ending(Code::AudioMissing, "the audio's address is refused"))?;
        self.check(&path).await?;
        Ok(path)
    }

    /// Is it the audio that was accepted?
    async fn check(&self, path: &Path) -> Result<(), Ending> {
        let (size, sha256) = digest::of_file(path).await?;
        let is_same = self.order.audio_size.is_none_or(|expected| expected == size)
            && self.order.audio_sha256.as_deref().is_none_or(|expected| expected == sha256);
        if is_same {
            return Ok(());
        }
        let message = format!("the audio is not the one that was accepted: {size} bytes came");
        Err(Failure::new(Code::AudioUnreadable, &message).into())
    }

    /// Stores the video and tells the webhook, twice if the webhook does not see it. A video that is stored stays, even if
    /// we are stopped before the webhook knows.
    async fn deliver(&mut self, video: &Path, output: &ReportedOutput, halt: &CancellationToken) -> Result<(), Ending> {
        for _ in 0..2 {
            until(halt, self.upload(video)).await?;
            match halt.run_until_cancelled(self.callback.complete(output, self.is_claimed)).await {
                None | Some(Told::Done) => return Ok(()),
                Some(Told::Over) => return Err(Ending::Over),
                Some(Told::OutputMissing) => tracing::warn!("the webhook does not see the video"),
            }
        }
        Err(Failure::from(Code::OutputMissing).into())
    }

    async fn upload(&mut self, video: &Path) -> Result<(), Ending> {
        let order = &self.order;
        let missing = || {
            order::invalid(
                "`--upload-signed-url` is missing, and so are `R2_ACCESS_KEY_ID`, `R2_SECRET_ACCESS_KEY` and `R2_BUCKET_NAME`",
            )
        };
        let url = order.upload_url.clone();
        let url = match url {
            Some(url) => url,
            None => self.sign_upload()?.ok_or_else(missing)?,
        };
        let mut outcome = transfer::upload(video, &url, &order.upload_headers).await;
        if matches!(outcome, Err(transfer::Error::Refused)) && self.renew().await? {
            let order = &self.order;
            let url = order.upload_url.clone().ok_or_else(missing)?;
            outcome = transfer::upload(video, &url, &order.upload_headers).await;
        }
        outcome.map_err(|error| error.ending(Code::UploadFailed, "the store refused the upload"))
    }

    /// An address for the video, signed with the container's own `R2_*` credentials where it has them.
    fn sign_upload(&self) -> Result<Option<Secret>, Ending> {
        let Some(config) = order::own_bucket() else { return Ok(None) };
        let bucket = Bucket::new(&config).map_err(|error| order::invalid(&error.to_string()))?;
        Ok(Some(bucket.sign_put(&self.order.upload_key, OWN_SIGNATURE)))
    }

    /// Fresh addresses from a second claim by the same input; false where the other side knows no claim.
    async fn renew(&mut self) -> Result<bool, Ending> {
        let claim = self.callback.claim().await?;
        let is_renewed = claim.is_some();
        if let Some(claim) = claim {
            self.order.renew(claim);
        }
        Ok(is_renewed)
    }
}

async fn render(
    config: &RenderConfig,
    audio: &Path,
    video: &Path,
    on_progress: impl FnMut(f32),
    stop: &CancellationToken,
) -> Result<Film, Ending> {
    let ffmpeg = until(stop, ffmpeg()).await?;
    film::render(&ffmpeg, config, audio, video, on_progress, stop).await.map_err(|error| match error {
        film::Error::Stopped => Ending::Interrupted,
        film::Error::Audio => Failure::from(Code::AudioUnreadable).into(),
        film::Error::Settings(error) => Failure::new(Code::InvalidRequest, &error.to_string()).into(),
        film::Error::Disk(error) => error.into(),
        film::Error::Failed(message) => Failure::new(Code::RenderFailed, &message).into(),
    })
}

/// The encoder: it is found, or fetched.
async fn ffmpeg() -> Result<PathBuf, Ending> {
    let find = || nats::tool::FFMPEG.find(&|line| tracing::info!("{line}"));
    let found = tokio::task::spawn_blocking(find).await.map_err(std::io::Error::other)?;
    found.map_err(|error| Failure::new(Code::RenderFailed, &error.to_string()).into())
}

/// `work`, unless it is to stop first.
async fn until<T>(stop: &CancellationToken, work: impl Future<Output = Result<T, Ending>>) -> Result<T, Ending> {
    stop.run_until_cancelled(work).await.unwrap_or(Err(Ending::Interrupted))
}

fn require(audio: &Path) -> Result<(), Ending> {
    if audio.is_file() {
        return Ok(());
    }
    Err(Failure::new(Code::AudioMissing, &format!("there is no audio file `{}`", audio.display())).into())
}

/// Where `fraction` lies between two percentages; what is no number lies at the beginning.
fn percent_of(fraction: f32, from: u8, to: u8) -> u8 {
    let offset = f32::from(to - from) * fraction.clamp(0.0, 1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it lies between 0 and 100")]
    let offset = if offset.is_nan() { 0 } else { offset as u8 };
    from + offset
}
