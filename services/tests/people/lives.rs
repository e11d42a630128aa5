//! Jobs, from the file to the video.

use std::process::Stdio;

use events::JobId;
use kiln::probe;
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use super::{Ran, command};
use crate::support::{ffmpeg, wait_for};
use crate::world::TestWorld;

#[tokio::test]
async fn a_file_becomes_a_video_and_every_command_tells_of_it_to_people_and_to_programs() {
    let world = TestWorld::start().await;
    world.music(2);
    let done =
        world.kiln(&["submit", "music-2.wav", "--mode", "mist", "-o", "film.mp4", "--metadata", r#"{"a":1}"#]).await;
    for stage in ["uploading", "rendering", "downloading"] {
        assert!(done.log.contains(&format!("music-2.wav: {stage}")), "{}", done.log);
    }
    let told = done.expect(0);
    assert!(told.starts_with("music-2.wav is complete after ") && told.ends_with("→ film.mp4\n"), "{told}");
    let film = world.folder.path().join("film.mp4");
    probe::check_playable(&ffmpeg(), &film, 2.0).await.expect("the video plays");
    assert!(!world.folder.path().join("film.mp4.part").exists());

    let list = world.kiln(&["list", "--json"]).await.json(0).remove(0);
    let job = list["jobs"][0]["jobId"].as_str().expect("an id").to_owned();
    assert_eq!(
        (&list["counts"]["complete"], &list["jobs"][0]["metadata"]),
        (&1.into(), &serde_json::json!({"a": 1, "filename": "music-2.wav"}))
    );
    let end = job.rsplit('-').next().expect("an end");
    let short = world.kiln(&["status", end]).await.expect(0);
    assert!(
        short.contains(&job) && short.contains("complete: 2.0 s of video") && short.contains("music-2.wav"),
        "{short}"
    );
    let story = world.kiln(&["explain", &job]).await.expect(0);
    for part in ["What happened\n", "A render was asked for", "mist", "the video was there", "Next\n", "kiln download"]
    {
        assert!(story.contains(part), "`{part}` is not in {story}");
    }
    let events = world.kiln(&["events", &job]).await.expect(0);
    assert!(events.contains("requested") && events.contains("started.1") && events.contains("completed"), "{events}");
    let table = world.kiln(&["list", "--all"]).await.expect(0);
    assert!(table.starts_with("job ") && table.contains(&job) && !table.contains('\u{1b}'), "{table}");
    let narrow = command(world.folder.path(), &world.url(""), &["list"]).env("COLUMNS", "40").output().await;
    let narrow = Ran::of(&narrow.expect("kiln runs")).expect(0);
    assert!(narrow.lines().all(|line| line.chars().count() <= 40) && narrow.contains(end), "{narrow}");

    for args in [["status", &job], ["watch", &job], ["events", &job], ["explain", &job]] {
        let told = world.kiln(&[&args[..], &["--json"]].concat()).await.json(0);
        assert!(told.iter().all(Value::is_object) && !told.is_empty(), "{args:?}");
    }
    let watched = world.kiln(&["watch", &job]).await.expect(0);
    assert!(watched.starts_with("music-2.wav is complete"), "{watched}");
    world.stop().await;
}

#[tokio::test]
async fn many_files_become_as_many_videos_and_the_bad_one_is_named() {
    let world = TestWorld::start().await;
    let music = std::fs::read(world.music(1)).expect("it is there");
    for name in ["one.wav", "two.wav"] {
        std::fs::write(world.folder.path().join(name), &music).expect("written");
    }
    std::fs::write(world.folder.path().join("notes.wav"), "no sound in here").expect("written");
    let done = world.kiln(&["submit", "one.wav", "notes.wav", "two.wav", "-o", "films/", "--json"]).await;
    assert!(done.log.contains("kiln: notes.wav: kiln refuses it: this is no audio file"), "{}", done.log);
    let told = done.json(4);
    let of = |name: &str, field: &str| told.iter().find(|line| line["file"] == name && !line[field].is_null()).cloned();
    assert_eq!(of("notes.wav", "error").expect("an error")["error"]["exitCode"], 4);
    let (one, two) = (of("one.wav", "jobId").expect("a job"), of("two.wav", "jobId").expect("a job"));
    assert_ne!(one["jobId"], two["jobId"], "each file has a key of its own");
    for name in ["films/one.mp4", "films/two.mp4"] {
        probe::check_playable(&ffmpeg(), &world.folder.path().join(name), 1.0).await.expect("the video plays");
        assert!(told.iter().any(|line| line["output"] == name && line["isVerified"] == true), "{told:?}");
    }
    let again = world.kiln(&["submit", "one.wav", "-o", "films/"]).await.sentence(7);
    assert!(again.contains("films/one.mp4") && again.contains("--force"), "{again}");
    world.stop().await;
}

#[tokio::test]
async fn what_comes_from_a_pipe_is_a_job_like_any_other_and_a_bad_one_fails_with_its_reason() {
    let world = TestWorld::start().await;
    let music = std::fs::read(world.music(1)).expect("it is there");
    let url = world.url("");
    let piped = async |bytes: &[u8], args: &[&str]| {
        let mut command = command(world.folder.path(), &url, &[&["submit", "-"], args].concat());
        let mut child = command.stdin(Stdio::piped()).spawn().expect("kiln runs");
        let mut stdin = child.stdin.take().expect("a pipe");
        // A command that refuses does not read.
        let _ = stdin.write_all(bytes).await;
        drop(stdin);
        Ran::of(&child.wait_with_output().await.expect("it ends"))
    };
    let dry = piped(&music, &["--dry-run", "--json", "--fps", "60"]).await.json(0).remove(0);
    assert_eq!((&dry["spec"]["fps"], &dry["jobId"]), (&60.into(), &Value::Null));
    let key = ["--filename", "band.wav", "--idempotency-key", "mine"];
    let job = piped(&music, &key).await.expect(0);
    assert_eq!(job, piped(&music, &key).await.expect(0), "the same key is the same job");
    let watched = world.kiln(&["watch", job.trim()]).await.expect(0);
    assert!(watched.starts_with("band.wav is complete"), "{watched}");
    assert!(piped(b"", &[]).await.sentence(2).contains("is empty"));
    let broken = piped(b"RIFF\x24\0\0\0WAVE, and then nothing that is sound", &["--watch", "--filename", "broken.wav"])
        .await
        .sentence(1);
    assert!(broken.contains("broken.wav failed: ") && broken.contains("kiln explain"), "{broken}");
    let list = world.kiln(&["list", "--status", "failed"]).await.expect(0);
    assert!(list.contains("broken.wav") && !list.contains("band.wav"), "{list}");
    world.stop().await;
}

#[tokio::test]
async fn a_job_is_cancelled_once_and_asked_for_again_as_a_new_one() {
    let world = TestWorld::start().await;
    world.music(60);
    let job = world.kiln(&["submit", "music-60.wav"]).await.expect(0).trim().to_owned();
    let early = world.kiln(&["download", &job]).await.sentence(4);
    assert!(early.contains("has no video yet") && early.contains("kiln watch"), "{early}");
    let cancelled = world.kiln(&["cancel", &job, "--json"]).await.json(0).remove(0);
    assert_eq!(cancelled["status"], "cancelled");
    assert!(world.kiln(&["cancel", &job]).await.sentence(4).contains("has ended"));
    assert!(world.kiln(&["watch", &job]).await.sentence(1).contains("music-60.wav was cancelled"));
    let again = world.kiln(&["retry", &job, "--json"]).await.json(0).remove(0);
    let again = again["jobId"].as_str().expect("an id").to_owned();
    assert_ne!(again, job);
    let story = world.kiln(&["explain", &again]).await.expect(0);
    assert!(story.contains(&format!("the same again as job {job}")), "{story}");
    assert!(world.kiln(&["retry", &again]).await.sentence(4).contains("not ended"));
    assert!(world.kiln(&["cancel", &again]).await.expect(0).contains("is cancelled"));
    world.stop().await;
}

#[tokio::test]
async fn what_nobody_could_read_is_listed_shown_and_read_again() {
    let mut world = TestWorld::start().await;
    assert!(world.kiln(&["deadletters", "list"]).await.expect(0).contains("no dead letters"));
    let job = JobId::new(1, [0; 10]);
    world.poison(job, &[("x-note", "mine")], b"no JSON\x1b[31m".to_vec()).await;
    let listed = async || {
        let list = world.kiln(&["deadletters", "list", "--json"]).await.json(0).remove(0);
        list["deadLetters"].as_array().is_some_and(|letters| letters.len() == 1).then_some(())
    };
    wait_for("the letter", listed).await;
    let table = world.kiln(&["deadletters", "list"]).await.expect(0);
    assert!(table.starts_with("letter ") && table.contains(&format!("render.{job}.completed")), "{table}");
    let letter = world.kiln(&["deadletters", "show", "1"]).await.expect(0);
    assert!(letter.contains("x-note: mine") && letter.contains("no JSON [31m"), "{letter}");
    assert_eq!(world.kiln(&["deadletters", "show", "1", "--json"]).await.json(0)[0]["id"], "1");
    assert!(world.kiln(&["deadletters", "redrive", "1"]).await.expect(0).starts_with("letter 1: "));
    let absent = world.kiln(&["deadletters", "redrive", "7"]).await.sentence(3);
    assert!(absent.contains("no such dead letter; `kiln deadletters list`"), "{absent}");
    world.stop().await;
}
