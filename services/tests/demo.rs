//! The demo's path, on a short clip.

use std::process::Stdio;

use kiln::{dev::music, probe};
use tokio::process::Command;

use crate::support::{ffmpeg, kiln};
use crate::world::processes_of;

#[tokio::test]
async fn demo_turns_audio_into_a_playable_video_and_leaves_no_process() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let audio = folder.path().join("clip.wav");
    std::fs::write(&audio, music::wav(2.0)).expect("the clip can be written");
    let output = Command::new(kiln())
        .args(["demo", "clip.wav", "--format", "flat-1080p-square"])
        .current_dir(folder.path())
        .env("TMPDIR", folder.path())
        .stdin(Stdio::null())
        .output()
        .await
        .expect("kiln runs");
    let (told, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}\n{log}");
    for word in ["requested", "dispatched.1", "started.1", "completed", "1080x1080"] {
        assert!(told.contains(word), "`{word}` is missing in: {told}");
    }
    for stage in ["uploading", "rendering", "downloading", "done (100 %)"] {
        assert!(log.contains(stage), "`{stage}` is missing in: {log}");
    }
    probe::check_playable(&ffmpeg(), &folder.path().join("demo.mp4"), 2.0).await.expect("the video plays");
    assert_eq!(processes_of(folder.path()), Vec::<String>::new());
    let left = std::fs::read_dir(folder.path()).expect("the folder is there").flatten();
    let mut left: Vec<_> = left.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    left.sort();
    assert_eq!(left, ["clip.wav", "demo.mp4"]);
}

#[tokio::test]
async fn demo_refuses_what_is_no_audio_in_one_sentence() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    std::fs::write(folder.path().join("notes.txt"), "no sound in here").expect("the file can be written");
    std::fs::write(folder.path().join("empty.wav"), "").expect("the file can be written");
    for file in ["notes.txt", "empty.wav", "absent.wav"] {
        let output = Command::new(kiln())
            .args(["demo", file])
            .current_dir(folder.path())
            .env("TMPDIR", folder.path())
            .output()
            .await
            .expect("kiln runs");
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{file}");
        assert!(log.contains(file) && log.trim().lines().count() == 1, "{file}: {log}");
        assert!(!folder.path().join("demo.mp4").exists());
    }
    assert_eq!(processes_of(folder.path()), Vec::<String>::new());
}
