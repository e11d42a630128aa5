//! Which encoder makes the video: by its size, and by what this machine can do.

use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::probe::command;
use crate::program;

/// Largest frame in macroblocks, and most macroblocks a second, of H.264 level 6.2: Rec. ITU-T H.264, table A-1.
const MAX_FRAME: u32 = 139_264;
const MAX_RATE: u32 = 16_711_680;
/// How long an encoder may take to show that it works.
const TRIAL: Duration = Duration::from_secs(30);

/// An encoder of ffmpeg, with what it needs to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Encoder {
    /// Its name in ffmpeg.
    pub name: &'static str,
    arguments: &'static [&'static str],
    /// Whether it may be missing, or be without its hardware, so that it is tried first.
    needs_trial: bool,
}

const NVENC: &[&str] = &["-preset", "p5", "-rc", "vbr", "-cq", "21", "-b:v", "0"];
const H264_NVENC: Encoder = Encoder { name: "h264_nvenc", arguments: NVENC, needs_trial: true };
const HEVC_NVENC: Encoder = Encoder {
    name: "hevc_nvenc",
    arguments: &["-preset", "p5", "-rc", "vbr", "-cq", "23", "-b:v", "0", "-tag:v", "hvc1"],
    needs_trial: true,
};
const X264: Encoder =
    Encoder { name: "libx264", arguments: &["-preset", "veryfast", "-crf", "20"], needs_trial: false };
/// Few frames are held at once: one of 8192×4096 takes 50 MB, several times.
const X264_LARGE: Encoder = Encoder {
    name: "libx264",
    arguments: &["-preset", "ultrafast", "-crf", "21", "-threads", "4"],
    needs_trial: false,
};
const X265: Encoder = Encoder {
    name: "libx265",
    arguments: &[
        "-preset",
        "ultrafast",
        "-crf",
        "23",
        "-tag:v",
        "hvc1",
        "-x265-params",
        "log-level=error:frame-threads=1:rc-lookahead=5:bframes=0",
    ],
    needs_trial: false,
};

impl Encoder {
    /// The arguments for the output, without its name's.
    pub(super) fn arguments(self) -> impl Iterator<Item = &'static str> {
        ["-c:v", self.name].into_iter().chain(self.arguments.iter().copied())
    }
}

/// Whether some level of H.264 allows the picture (A.3.1: neither side longer than the root of eight frame sizes).
fn is_h264((width, height): (u32, u32), fps: u32) -> bool {
    let (columns, rows) = (width.div_ceil(16), height.div_ceil(16));
    let longest = columns.max(rows);
    columns * rows <= MAX_FRAME && longest * longest <= 8 * MAX_FRAME && columns * rows * fps <= MAX_RATE
}

/// What may encode it, the best first. The hardware's H.264 ends at 4096 pixels, its HEVC at 8192.
fn candidates(size: (u32, u32), fps: u32) -> [Encoder; 2] {
    match size {
        _ if !is_h264(size, fps) => [HEVC_NVENC, X265],
        (..=4096, ..=4096) => [H264_NVENC, X264],
        _ => [HEVC_NVENC, X264_LARGE],
    }
}

/// The best encoder that works here.
pub(super) async fn choose(
    ffmpeg: &Path,
    size: (u32, u32),
    fps: u32,
    stop: &CancellationToken,
) -> Result<Encoder, program::Error> {
    let [first, second] = candidates(size, fps);
    let works = !first.needs_trial || try_one_frame(ffmpeg, first, size, stop).await?;
    Ok(if works { first } else { second })
}

async fn try_one_frame(
    ffmpeg: &Path,
    encoder: Encoder,
    (width, height): (u32, u32),
    stop: &CancellationToken,
) -> Result<bool, program::Error> {
    let mut trial = command(ffmpeg);
    trial.args(["-f", "lavfi", "-i", &format!("color=black:s={width}x{height}:r=30"), "-frames:v", "1"]);
    trial.args(["-pix_fmt", "yuv420p"]).args(encoder.arguments()).args(["-f", "null", "-"]);
    match tokio::time::timeout(TRIAL, program::run(trial, |_| (), stop)).await {
        Ok(Ok(())) => Ok(true),
        Ok(Err(program::Error::Failed { .. })) | Err(_) => Ok(false),
        Ok(Err(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::{H264_NVENC, HEVC_NVENC, X264, X264_LARGE, X265, candidates, is_h264};
    use events::OutputFormat;

    #[test]
    fn only_two_views_of_8192_by_4096_are_too_much_for_h264() {
        for format in OutputFormat::ALL {
            assert_eq!(is_h264(format.size(), 60), !format.is_stereo(), "{format:?}");
        }
        assert!(!is_h264((16896, 16), 30), "too long");
        assert!(!is_h264((8192, 4096), 240), "too fast");
    }

    #[tokio::test]
    async fn hardware_is_used_only_where_a_trial_succeeds() {
        let folder = tempfile::tempdir().expect("a folder");
        let stop = tokio_util::sync::CancellationToken::new();
        for (name, script, expected) in [
            ("with", "case \"$*\" in *h264_nvenc*) exit 0;; esac; exit 1", H264_NVENC),
            ("without", "echo 'Cannot load libcuda.so.1' >&2; exit 1", X264),
        ] {
            let ffmpeg = folder.path().join(name);
            std::fs::write(&ffmpeg, format!("#!/bin/sh\n{script}\n")).expect("a script");
            let mode = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
            std::fs::set_permissions(&ffmpeg, mode).expect("a program");
            let chosen = super::choose(&ffmpeg, (1920, 1080), 30, &stop).await.expect("an encoder");
            assert_eq!(chosen, expected, "{name}");
        }
    }

    #[test]
    fn hardware_is_asked_first_for_what_it_can_do() {
        assert_eq!(candidates((3840, 2160), 60), [H264_NVENC, X264]);
        assert_eq!(candidates((8192, 4096), 30), [HEVC_NVENC, X264_LARGE]);
        assert_eq!(candidates((8192, 8192), 30), [HEVC_NVENC, X265]);
    }
}
