//! What is in a media file, told by ffmpeg alone (there is no `ffprobe` everywhere).
//!
//! Read from the `framecrc` format, which is made for machines: a few `#` lines, and then a line for each packet.

use std::fmt;
use std::io;
use std::path::Path;

use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use crate::program;

mod packets;

use packets::{Packets, Stream};

/// How far the length of a stream may be from that of the music, in seconds: two frames at 30 a second, and the
/// 1024 samples by which AAC is rounded up.
pub const TOLERANCE_SECONDS: f64 = 0.1;
/// What may be opened: no format that names other files.
const FORMATS: &str = "mov,matroska,webm,wav,w64,flac,mp3,aac,ogg,aiff";

/// What a file holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// The container's brand (`isom`, `M4A `), or the name of its format.
    pub container: String,
    /// Its first video.
    pub video: Option<Video>,
    /// Its first sound.
    pub audio: Option<Audio>,
}

/// A video stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Video {
    /// As ffmpeg calls it: `h264`, `hevc`.
    pub codec: String,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Frames per second, on average.
    pub fps: f64,
    /// How many there are.
    pub frames: u64,
    /// Its length.
    pub duration_seconds: f64,
}

/// An audio stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Audio {
    /// As ffmpeg calls it: `aac`, `flac`.
    pub codec: String,
    /// Samples per second.
    pub sample_rate: u32,
    /// How many; 0 if that is not known.
    pub channels: u32,
    /// Its length.
    pub duration_seconds: f64,
}

/// Why a file cannot be told about, or is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Opening it.
    #[error("`{0}` cannot be opened")]
    Open(String, #[source] io::Error),
    /// It is no media that ffmpeg can read.
    #[error("`{0}` is not a media file that can be read")]
    NotMedia(String),
    /// Running ffmpeg.
    #[error("ffmpeg did not run")]
    Ffmpeg(#[source] program::Error),
    /// It can be read, but is not the video it should be.
    #[error("`{0}` is no playable video of this music: {1}")]
    NotPlayable(String, String),
}

/// What `file` holds. Its packets are read, but not decoded.
pub async fn probe(ffmpeg: &Path, file: &Path) -> Result<Probe, Error> {
    let name = name(file);
    let container = container(file).await.map_err(|error| Error::Open(name.clone(), error))?;
    let packets = packets(read(ffmpeg, file).args(["-map", "0:v:0?", "-map", "0:a:0?", "-c", "copy"]), file).await?;
    let probe = Probe {
        container,
        video: packets.streams().find_map(Stream::video),
        audio: packets.streams().find_map(Stream::audio),
    };
    if probe.video.is_none() && probe.audio.is_none() { Err(Error::NotMedia(name)) } else { Ok(probe) }
}

/// How long the sound of `file` is, in seconds, decoded to its end.
pub async fn audio_seconds(ffmpeg: &Path, file: &Path) -> Result<f64, Error> {
    decoded_seconds(read(ffmpeg, file), file).await
}

/// As [`audio_seconds`], with a command that names the input already.
pub(crate) async fn decoded_seconds(mut command: Command, file: &Path) -> Result<f64, Error> {
    let packets = packets(command.args(["-map", "0:a:0", "-c:a", "pcm_s16le"]), file).await?;
    let seconds = packets.streams().find_map(Stream::audio).map(|audio| audio.duration_seconds);
    seconds.filter(|seconds| *seconds > 0.0).ok_or_else(|| Error::NotMedia(name(file)))
}

/// Whether `file` has a picture and a sound, both `seconds` long within [`TOLERANCE_SECONDS`], and can be decoded to its end.
pub async fn check_playable(ffmpeg: &Path, file: &Path, seconds: f64) -> Result<(), Error> {
    let refuse = |problem: String| Error::NotPlayable(name(file), problem);
    probe(ffmpeg, file).await?.check_length(seconds).map_err(refuse)?;
    let mut decode = read(ffmpeg, file);
    decode.args(["-map", "0:v:0", "-map", "0:a:0", "-f", "null", "-"]);
    program::run(decode, |_| (), &CancellationToken::new()).await.map_err(|error| match error {
        program::Error::Failed { complaint, .. } => refuse(complaint),
        error => Error::Ffmpeg(error),
    })
}

impl Probe {
    /// Whether there are a picture and a sound, `seconds` long within [`TOLERANCE_SECONDS`]; else the reason.
    pub fn check_length(&self, seconds: f64) -> Result<(), String> {
        let video = self.video.as_ref().ok_or("it has no picture")?.duration_seconds;
        let audio = self.audio.as_ref().ok_or("it has no sound")?.duration_seconds;
        for (part, length) in [("picture", video), ("sound", audio)] {
            if (length - seconds).abs() > TOLERANCE_SECONDS {
                return Err(format!("its {part} lasts {length:.2} s instead of {seconds:.2} s"));
            }
        }
        Ok(())
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "container  {}", self.container.trim())?;
        if let Some(Video { codec, width, height, fps, frames, duration_seconds }) = &self.video {
            writeln!(
                out,
                "video      {codec}  {width}x{height}  {fps:.2} fps  {frames} frames  {duration_seconds:.3} s"
            )?;
        }
        if let Some(Audio { codec, sample_rate, channels, duration_seconds }) = &self.audio {
            writeln!(out, "audio      {codec}  {sample_rate} Hz  {channels} channels  {duration_seconds:.3} s")?;
        }
        Ok(())
    }
}

/// ffmpeg, quiet, asking nothing, and opening nothing but files.
pub(crate) fn command(ffmpeg: &Path) -> Command {
    let mut command = Command::new(ffmpeg);
    command.args(["-hide_banner", "-nostdin", "-v", "error", "-protocol_whitelist", "file,pipe"]);
    command
}

/// ffmpeg, reading `file`, which ends it at the first thing that cannot be decoded.
fn read(ffmpeg: &Path, file: &Path) -> Command {
    let mut command = command(ffmpeg);
    command.args(["-xerror", "-format_whitelist", FORMATS, "-i"]).arg(address(file));
    command
}

/// A path that is never taken for something else, whatever its name.
pub(crate) fn address(file: &Path) -> std::ffi::OsString {
    let mut address = std::ffi::OsString::from("file:");
    address.push(file);
    address
}

fn name(file: &Path) -> String {
    file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned()
}

async fn packets(command: &mut Command, file: &Path) -> Result<Packets, Error> {
    command.args(["-f", "framecrc", "pipe:1"]);
    let mut packets = Packets::default();
    let command = std::mem::replace(command, Command::new(""));
    program::run(command, |line| packets.read(line), &CancellationToken::new()).await.map_err(|error| match error {
        program::Error::Failed { .. } => Error::NotMedia(name(file)),
        error => Error::Ffmpeg(error),
    })?;
    Ok(packets)
}

/// The brand in the file's first box, or what its first bytes tell.
async fn container(file: &Path) -> io::Result<String> {
    let mut head = Vec::new();
    tokio::fs::File::open(file).await?.take(64).read_to_end(&mut head).await?;
    let brand = head.get(4..8).filter(|kind| *kind == b"ftyp").and(head.get(8..12));
    Ok(match brand {
        Some(brand) => String::from_utf8_lossy(brand).into_owned(),
        None => crate::audio::sniff(&head).map_or("unknown", |kind| kind.extension).to_owned(),
    })
}
