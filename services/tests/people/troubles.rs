//! What breaks on the way, and what is wrong from the beginning.

use events::wire::client::RenderRequest;
use kiln::probe;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};

use super::relay::Relay;
use super::{Ran, command, run};
use crate::keys::Api;
use crate::life::dev;
use crate::support::{ffmpeg, nowhere};
use crate::world::TestWorld;

const NO_JOB: &str = "0193a5c0-7c1e-7b3a-9d52-1f0c8a7be001";

#[tokio::test]
async fn a_submit_whose_answer_is_lost_is_sent_again_and_is_one_job() {
    let world = TestWorld::start().await;
    world.music(1);
    let relay = Relay::to(&world.url("")).await;
    relay.lose(2);
    let done = run(world.folder.path(), &relay.url, &["submit", "music-1.wav"]).await;
    assert_eq!(relay.losses(), 0, "both answers were lost");
    assert!(done.log.contains("it is sent again"), "{}", done.log);
    let job = done.expect(0).trim().to_owned();
    let list = world.kiln(&["list", "--all", "--json"]).await.json(0).remove(0);
    let jobs: Vec<_> = list["jobs"].as_array().expect("jobs").iter().filter_map(|job| job["jobId"].as_str()).collect();
    assert_eq!(jobs, [job.as_str()]);
    assert!(world.kiln(&["watch", &job]).await.expect(0).contains("is complete"));
    world.stop().await;
}

#[tokio::test]
async fn a_watch_lives_through_a_killed_server_and_ends_with_the_job() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let data = folder.path().join("data");
    let (mut first, client) = dev(&data).await;
    let relay = Relay::to(client.base()).await;
    let audio = folder.path().join("music.wav");
    std::fs::write(&audio, kiln::dev::music::wav(8.0)).expect("the folder can be written to");
    let job = client.submit(&audio, &RenderRequest::default(), |_| {}).await.expect("accepted").job_id.to_string();
    let mut watch = command(folder.path(), &relay.url, &["watch", "--json", &job]).spawn().expect("kiln runs");
    let mut states = BufReader::new(watch.stdout.take().expect("a pipe")).lines();
    states.next_line().await.expect("it can be read").expect("a first state");
    first.start_kill().expect("it can be killed");
    first.wait().await.expect("it ends");
    let (mut second, client) = dev(&data).await;
    relay.lead_to(client.base());
    let mut last = serde_json::Value::Null;
    while let Some(line) = states.next_line().await.expect("it can be read") {
        last = serde_json::from_str(&line).expect("JSON");
    }
    assert_eq!(last["status"], "complete", "{last}");
    assert!(watch.wait().await.expect("it ends").success());
    second.start_kill().expect("it can be killed");
    second.wait().await.expect("it ends");
}

#[tokio::test]
async fn a_download_goes_on_from_what_is_there_and_is_checked_at_the_end() {
    let world = TestWorld::start().await;
    let job = world.submit(&world.music(1)).await.job_id;
    world.wait_for_end(job).await;
    let (job, film) = (job.to_string(), world.folder.path().join("film.mp4"));
    let download =
        async || world.kiln(&["download", &job, "-o", "film.mp4", "--json", "--force"]).await.json(0).remove(0);
    let whole = download().await;
    assert_eq!((&whole["resumedBytes"], &whole["isVerified"]), (&0.into(), &true.into()));
    let bytes = std::fs::read(&film).expect("the film");
    let part = world.folder.path().join("film.mp4.part");
    let half = bytes.len() / 2;
    let mut wrong = bytes[..half].to_vec();
    wrong[100] ^= 1;
    let rows =
        [(bytes[..half].to_vec(), half), (bytes.clone(), bytes.len()), (wrong, 0), ([&bytes[..], b"more"].concat(), 0)];
    for (there, resumed) in rows {
        std::fs::write(&part, there).expect("written");
        assert_eq!(download().await["resumedBytes"], resumed);
        assert!(std::fs::read(&film).expect("the film") == bytes, "it is another film");
        assert!(!part.exists());
    }
    let held = std::fs::File::create(&part).expect("a file");
    held.lock().expect("nobody else has it");
    let refused = world.kiln(&["download", &job, "-o", "film.mp4", "--force"]).await.sentence(7);
    assert!(refused.contains("another download"), "{refused}");
    probe::check_playable(&ffmpeg(), &film, 1.0).await.expect("the video plays");
    world.stop().await;
}

#[tokio::test]
async fn an_interrupted_watch_says_that_the_job_goes_on() {
    let world = TestWorld::start().await;
    world.music(30);
    let mut watch = command(world.folder.path(), &world.url(""), &["submit", "music-30.wav", "--watch"])
        .spawn()
        .expect("kiln runs");
    let mut lines = BufReader::new(watch.stderr.take().expect("a pipe")).lines();
    while !lines.next_line().await.expect("it can be read").expect("a line").contains("rendering") {}
    let id = watch.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)).expect("it runs");
    kill_process(id, Signal::INT).expect("it can be asked");
    let mut last = String::new();
    while let Some(line) = lines.next_line().await.expect("it can be read") {
        last = line;
    }
    let job = last.rsplit(' ').next().expect("an id").trim_matches('`').to_owned();
    assert_eq!(last, format!("kiln: the job goes on; look again with `kiln watch {job}`"));
    assert_eq!(watch.wait().await.expect("it ends").code(), Some(130));
    assert!(world.kiln(&["status", &job]).await.expect(0).contains("processing"));
    assert!(world.kiln(&["cancel", &job]).await.expect(0).contains("is cancelled"));
    world.stop().await;
}

#[tokio::test]
async fn each_kind_of_trouble_has_a_sentence_with_the_next_step_and_an_exit_code() {
    let (api, key) = Api::start(&[]).await;
    let folder = api.world.folder.path();
    let ask = async |key: &str, args: &[&str]| {
        let ran = command(folder, &api.base, args).env("KILN_API_KEY", key).output().await.expect("kiln runs");
        assert!(key.is_empty() || !format!("{ran:?}").contains(key), "the key was printed");
        Ran::of(&ran)
    };
    for wrong in ["", "kiln_0123456789abcdef_0123456789abcdef"] {
        let refused = ask(wrong, &["list"]).await.sentence(6);
        assert!(refused.contains("KILN_API_KEY") && refused.contains("kiln keys create"), "{refused}");
    }
    ask(&key, &["list"]).await.expect(0);
    let rows: [(&[&str], i32, &str); 9] = [
        (&["status", NO_JOB], 3, "there is no such job; `kiln list`"),
        (&["status", "7be0010"], 3, "begins or ends with `7be0010`"),
        (&["submit", "absent.wav"], 7, "absent.wav"),
        (&["submit", "."], 7, "is a folder"),
        (&["submit", "music-1.wav", "--settings", "{"], 2, "--settings is no JSON object"),
        (&["submit", "music-1.wav", "music-1.wav", "-o", "one.mp4"], 2, "several videos need a folder"),
        (
            &["submit", "music-1.wav", "--max-attempts", "99"],
            4,
            "`/maxAttempts` (`--max-attempts`) must be from 1 to 10",
        ),
        (&["list", "--url", "http://kiln.example.com"], 2, "use https://"),
        (&["list", "--url", "ftp://x"], 2, "KILN_URL must begin with"),
    ];
    api.world.music(1);
    for (args, code, part) in rows {
        let sentence = ask(&key, args).await.sentence(code);
        assert!(sentence.contains(part), "{args:?}: {sentence}");
    }
    let away = run(folder, &nowhere().await, &["list"]).await.sentence(5);
    assert!(away.contains("connection refused") && away.contains("`kiln dev`") && away.contains("KILN_URL"), "{away}");
    for args in [&["status", "nonsense"][..], &["submit"], &["list", "--status", "done"], &["watch"]] {
        assert_eq!(ask(&key, args).await.code, 2, "{args:?}");
    }
    let help = ask(&key, &["submit", "--help"]).await.expect(0);
    for line in
        ["  0    done", "  1    a job failed", "  3    there is no", "  130  interrupted", "KILN_URL", "Examples:"]
    {
        assert!(help.contains(line), "{help}");
    }
    api.world.stop().await;
}
