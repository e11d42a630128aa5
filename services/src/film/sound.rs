//! The user's audio. It is hostile until its first bytes say what it is; then it is read as that and as nothing else.

use std::io;
use std::path::Path;

use tokio::io::AsyncReadExt;
use tokio::process::Command;

use crate::audio;
use crate::probe::{self, address};

/// A file that can be heard.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sound<'a> {
    file: &'a Path,
    kind: audio::Kind,
    /// Its length, by decoding it.
    pub seconds: f64,
}

/// Why there is nothing to hear.
pub(super) enum Error {
    /// The file cannot be opened.
    Open(io::Error),
    /// It is no sound.
    Unreadable,
    /// ffmpeg.
    Probe(probe::Error),
}

impl<'a> Sound<'a> {
    /// Looks at the file, and decodes it once.
    pub(super) async fn listen(ffmpeg: &Path, file: &'a Path) -> Result<Self, Error> {
        let mut head = Vec::new();
        let bytes = u64::try_from(audio::SNIFF_BYTES).expect("a small number");
        tokio::fs::File::open(file)
            .await
            .map_err(Error::Open)?
            .take(bytes)
            .read_to_end(&mut head)
            .await
            .map_err(Error::Open)?;
        let kind = audio::sniff(&head).ok_or(Error::Unreadable)?;
        let mut sound = Self { file, kind, seconds: 0.0 };
        let mut command = probe::command(ffmpeg);
        sound.name(&mut command);
        sound.seconds = probe::decoded_seconds(command, file).await.map_err(|error| match error {
            probe::Error::NotMedia(_) => Error::Unreadable,
            error => Error::Probe(error),
        })?;
        Ok(sound)
    }

    /// Names it as an input: a playlist in disguise opens nothing, for no other format and no network is allowed.
    pub(super) fn name(&self, command: &mut Command) {
        match self.kind.extension {
            // What begins with an ID3 tag may be FLAC or AAC behind it.
            "mp3" => command.args(["-format_whitelist", "mp3,aac,flac"]),
            "wav" => command.args(["-f", "wav"]),
            "flac" => command.args(["-f", "flac"]),
            "ogg" | "opus" => command.args(["-f", "ogg"]),
            "webm" => command.args(["-f", "matroska"]),
            "aac" => command.args(["-f", "aac"]),
            _ => command.args(["-f", "mov"]),
        };
        command.arg("-i").arg(address(self.file));
    }

    /// How many frames are shown while it is heard: the last one may be shown a little longer than the sound.
    pub(super) fn frames(&self, fps: u32) -> u64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a length times 30 or 60")]
        ((self.seconds * f64::from(fps) - 0.001).ceil().max(1.0) as u64)
    }
}
