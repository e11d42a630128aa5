//! Films are made with a real ffmpeg, and measured.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use events::{Mode, OutputFormat, RenderConfig};
use serde_json::json;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{Error, Film, Job, progress, render_with};
use crate::dev::music;
use crate::probe;

fn ffmpeg() -> &'static Path {
    static FFMPEG: LazyLock<PathBuf> = LazyLock::new(|| nats::tool::FFMPEG.find(&|_| ()).expect("an ffmpeg"));
    &FFMPEG
}

fn config(mode: Mode, output_format: OutputFormat) -> RenderConfig {
    RenderConfig { version: 1, output_format, fps: 30, mode, render_settings: serde_json::Map::new() }
}

/// A folder with some audio, and what is made of it.
struct Studio {
    folder: TempDir,
    done: Vec<f32>,
}

impl Studio {
    fn new(audio: &[u8]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("song.wav"), audio).expect("audio");
        Self { folder, done: Vec::new() }
    }

    fn video(&self) -> PathBuf {
        self.folder.path().join("film.mp4")
    }

    async fn render(
        &mut self,
        config: &RenderConfig,
        command: Option<&OsStr>,
        stop: &CancellationToken,
    ) -> Result<Film, Error> {
        let (audio, output) = (self.folder.path().join("song.wav"), self.video());
        let job = Job { ffmpeg: ffmpeg(), config, audio: &audio, output: &output };
        render_with(command, &job, |done| self.done.push(done), stop).await
    }

    async fn draw(&mut self, mode: Mode, format: OutputFormat) -> Result<Film, Error> {
        self.render(&config(mode, format), None, &CancellationToken::new()).await
    }

    /// How bright the video is, and how much it changes from frame to frame, on average and in greys.
    fn measure(&self) -> (f64, f64) {
        const PIXELS: usize = 64 * 64;
        let decoded = Command::new(ffmpeg())
            .args(["-v", "error", "-i"])
            .arg(self.video())
            .args(["-vf", "scale=64:64", "-pix_fmt", "gray", "-f", "rawvideo", "pipe:1"])
            .output();
        let bytes = decoded.expect("ffmpeg runs").stdout;
        let mean = |sum: u64, count: usize| {
            f64::from(u32::try_from(sum).expect("a small sum")) / f64::from(u32::try_from(count).expect("small"))
        };
        let change = bytes.iter().zip(&bytes[PIXELS..]).map(|(before, after)| u64::from(before.abs_diff(*after))).sum();
        (mean(bytes.iter().copied().map(u64::from).sum(), bytes.len()), mean(change, bytes.len() - PIXELS))
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).expect("a folder");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

#[tokio::test]
async fn every_kind_of_film_is_as_long_as_its_music_and_plays() {
    let rows = [
        (Mode::Flame, OutputFormat::Flat1080pLandscape, 1.0),
        (Mode::Mist, OutputFormat::Flat1080pPortrait, 0.51),
        (Mode::Flame, OutputFormat::Flat1080pSquare, 0.999),
        (Mode::Mist, OutputFormat::Mono360At4k, 0.4),
    ];
    for (mode, format, seconds) in rows {
        let mut studio = Studio::new(&music::wav(seconds));
        let film = studio.draw(mode, format).await.expect("a film");
        assert_eq!((film.width, film.height), format.size(), "{format:?}");
        assert!((film.duration_seconds - f64::from(seconds)).abs() < 0.001, "{film:?}");
        assert_eq!(film.size_bytes, std::fs::metadata(studio.video()).expect("a file").len());
        probe::check_playable(ffmpeg(), &studio.video(), f64::from(seconds)).await.expect("it plays");
        let probe = probe::probe(ffmpeg(), &studio.video()).await.expect("media");
        let (video, audio) = (probe.video.expect("a picture"), probe.audio.expect("a sound"));
        assert_eq!((video.codec.as_str(), audio.codec.as_str(), audio.channels), ("h264", "aac", 2));
        assert!(
            (video.fps - 30.0).abs() < 0.01 && (video.duration_seconds - f64::from(seconds)).abs() < 0.034,
            "{video:?}"
        );
        assert_eq!(studio.files(), ["film.mp4", "song.wav"], "nothing is left behind");
        assert!(studio.done.is_sorted() && studio.done.last().is_some_and(|done| *done > 0.8), "{:?}", studio.done);
        let bytes = std::fs::read(studio.video()).expect("a file");
        let find = |name: &[u8]| bytes.windows(4).position(|window| window == name);
        assert!(find(b"moov") < find(b"mdat"), "it starts to play while it is loaded");
        assert_eq!(find(b"sv3d").is_some(), format.is_spherical(), "{format:?}");
    }
}

#[tokio::test]
async fn the_picture_moves_with_the_music() {
    let silence = {
        let mut wav = music::wav(1.5);
        wav[44..].fill(0);
        wav
    };
    for mode in [Mode::Flame, Mode::Mist] {
        let (mut loud, mut still) = (Studio::new(&music::wav(1.5)), Studio::new(&silence));
        loud.draw(mode, OutputFormat::Flat1080pSquare).await.expect("a film");
        still.draw(mode, OutputFormat::Flat1080pSquare).await.expect("a film of silence");
        let ((bright, lively), (dark, calm)) = (loud.measure(), still.measure());
        assert!(bright > dark * 1.15, "{mode:?}: {bright} and {dark}");
        assert!(lively > calm * 4.0, "{mode:?}: {lively} and {calm}");
    }
}

#[tokio::test]
async fn what_is_no_sound_is_refused_and_opens_nothing() {
    let web = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    web.set_nonblocking(true).expect("a listener");
    let url = format!("http://{}/a.wav", web.local_addr().expect("an address"));
    let rows: [Vec<u8>; 6] = [
        b"these are words".to_vec(),
        Vec::new(),
        format!("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{url}\n#EXT-X-ENDLIST\n").into_bytes(),
        format!("ffconcat version 1.0\nfile '{url}'\n").into_bytes(),
        [b"RIFF\x24\0\0\0WAVEfmt ".as_slice(), url.as_bytes()].concat(),
        format!("ID3\x04\0\0\0\0\0\0#EXTM3U\n#EXTINF:9,\n{url}\n").into_bytes(),
    ];
    for audio in rows {
        let mut studio = Studio::new(&audio);
        let refused = studio.draw(Mode::Flame, OutputFormat::Flat1080pSquare).await;
        assert!(matches!(refused, Err(Error::Audio)), "{refused:?}: {}", String::from_utf8_lossy(&audio));
        assert_eq!(studio.files(), ["song.wav"]);
        let song = studio.folder.path().join("song.wav");
        let told = probe::probe(ffmpeg(), &song).await.expect_err("no media").to_string();
        assert_eq!(told, "`song.wav` is not a media file that can be read");
    }
    assert!(web.accept().is_err(), "somebody came");
}

#[tokio::test]
async fn a_stop_leaves_nothing_behind() {
    let stop = CancellationToken::new();
    let studio = Studio::new(&music::wav(60.0));
    let (audio, output) = (studio.folder.path().join("song.wav"), studio.video());
    let job = Job {
        ffmpeg: ffmpeg(),
        config: &config(Mode::Mist, OutputFormat::Flat1080pSquare),
        audio: &audio,
        output: &output,
    };
    let stopped = render_with(None, &job, |_| stop.cancel(), &stop).await;
    assert!(matches!(stopped, Err(Error::Stopped)), "{stopped:?}");
    assert_eq!(studio.files(), ["song.wav"]);
}

#[tokio::test]
async fn a_wrong_setting_is_told_by_its_name() {
    let mut studio = Studio::new(&music::wav(0.1));
    let settings = json!({"colors": "red"}).as_object().cloned().expect("an object");
    let config = RenderConfig { render_settings: settings, ..config(Mode::Flame, OutputFormat::Flat1080pSquare) };
    let refused = studio.render(&config, None, &CancellationToken::new()).await.expect_err("no colours");
    assert_eq!(refused.to_string(), "`renderSettings.colors` must be a list of one to three colours like `#ff8800`");
}

/// Makes a renderer of shell commands; `$1` is an argument of its own, then come config, audio and output.
fn renderer(studio: &Studio, script: &str) -> std::ffi::OsString {
    let file = studio.folder.path().join("renderer");
    std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).expect("a script");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("a program");
    format!("sh {} own", file.display()).into()
}

#[tokio::test]
async fn a_renderer_of_ones_own_gets_three_paths_and_tells_its_progress() {
    let mut studio = Studio::new(&music::wav(0.5));
    let script = format!(
        "[ $1 = own ] && grep -q flat-1080p-square $2 || exit 1\necho progress 0.25\necho progress x\necho progress 0.125\n\
         {} -v error -i $3 -f lavfi -i color=s=64x32:d=0.5 -f mp4 $4",
        ffmpeg().display()
    );
    let command = renderer(&studio, &script);
    let config = config(Mode::Flame, OutputFormat::Flat1080pSquare);
    let film = studio.render(&config, Some(&command), &CancellationToken::new()).await.expect("a film");
    assert_eq!((film.width, film.height, film.encoder.as_str()), (64, 32, "sh"));
    assert_eq!(
        (studio.done.as_slice(), studio.files()),
        (&[0.25][..], ["film.mp4", "renderer", "song.wav"].map(String::from).to_vec())
    );
}

#[tokio::test]
async fn a_renderer_of_ones_own_may_fail_in_three_ways() {
    let config = config(Mode::Flame, OutputFormat::Flat1080pSquare);
    for (script, told) in [
        ("echo /somewhere/secret.so is missing >&2; exit 1", "secret.so is missing"),
        ("exit 3", "the audio cannot be read as sound"),
        ("echo words > $4", "`film.mp4.part` is not a media file that can be read"),
    ] {
        let mut studio = Studio::new(&music::wav(0.2));
        let command = renderer(&studio, script);
        let failed = studio.render(&config, Some(&command), &CancellationToken::new()).await.expect_err(script);
        assert_eq!(failed.to_string(), told);
        assert_eq!(studio.files(), ["renderer", "song.wav"]);
    }
}

#[test]
fn progress_is_a_share_of_the_music() {
    for (line, done) in [
        ("out_time_us=5000000", Some(0.25)),
        ("out_time_us=99000000", Some(1.0)),
        ("out_time_us=N/A", None),
        ("frame=12", None),
        ("", None),
    ] {
        assert_eq!(progress(line, 20.0), done, "{line}");
    }
}
