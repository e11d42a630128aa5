//! What is wrong is told in one clear sentence, and nothing half-done is left.

use std::process::Stdio;

use events::wire::client::RenderRequest;
use events::{Code, JobId, Status};
use kiln::client::kiln::Error;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use crate::support::{kiln, wait_for};
use crate::world::TestWorld;

#[tokio::test]
async fn a_large_file_that_is_no_audio_is_refused_with_an_answer_and_not_with_a_broken_connection() {
    let world = TestWorld::start().await;
    let file = world.folder.path().join("zeros");
    std::fs::write(&file, vec![0; 40_000_000]).expect("the folder can be written to");
    let refused = world.client.submit(&file, &RenderRequest::default(), |_| {}).await;
    assert!(matches!(&refused, Err(Error::Problem(problem)) if problem.status == 415), "{refused:?}");
    world.stop().await;
}

#[tokio::test]
async fn unknown_jobs_addresses_and_methods_are_problems() {
    let world = TestWorld::start().await;
    let rows = [
        ("GET", "/api/render/0193a5c0-7c1e-7b3a-9d52-1f0c8a7be001", 404),
        ("GET", "/api/render/nonsense", 404),
        ("DELETE", "/api/render/0193a5c0-7c1e-7b3a-9d52-1f0c8a7be001", 404),
        ("GET", "/api/render/0193a5c0-7c1e-7b3a-9d52-1f0c8a7be001/events", 404),
        ("GET", "/nothing", 404),
        ("PUT", "/api/render", 405),
    ];
    for (method, path, status) in rows {
        let method = method.parse().expect("it is a method");
        let response = world.http.request(method, world.url(path)).send().await.expect("it is answered");
        assert_eq!(response.status(), status, "{path}");
        assert!(response.headers().contains_key("x-request-id"), "{path}");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_start_that_cannot_work_says_which_setting_is_wrong() {
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let taken = taken.local_addr().expect("it has an address");
    let secret = "0123456789abcdef0123456789abcdef";
    let good = [
        ("NATS_URL", "nats://127.0.0.1:1"),
        ("R2_ACCESS_KEY_ID", "a"),
        ("R2_SECRET_ACCESS_KEY", "canary"),
        ("R2_BUCKET_NAME", "b"),
        ("R2_ENDPOINT", "http://127.0.0.1:1"),
        ("MODAL_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("PUBLIC_URL", "https://kiln.example.com"),
        ("INTERNAL_WEBHOOK_SECRET", secret),
        // As files of settings leave what is not given.
        ("NATS_CREDS", ""),
        ("NATS_USER", ""),
        ("R2_ACCOUNT_ID", ""),
        ("CALLBACK_URL", ""),
        ("KILN_HEALTH_LISTEN", ""),
        ("KILN_ALLOW_AUDIO_URL", ""),
    ];
    let rows: [(&[&str], &str, &str, &str); 13] = [
        (&["worker"], "R2_ENDPOINT", "", "R2_ACCOUNT_ID; set one of them"),
        (&["worker", "--r2-account-id", ""], "R2_ENDPOINT", "", "R2_ACCOUNT_ID must"),
        (&["serve"], "R2_BUCKET_NAME", "", "--r2-bucket-name"),
        (&["worker"], "NATS_URL", "nats://127.0.0.1:1", "127.0.0.1:1"),
        (&["dev", "--data", "x", "--listen", &taken.to_string()], "NATS_URL", "", &taken.to_string()),
        (&["worker"], "INTERNAL_WEBHOOK_SECRET", "canary", "INTERNAL_WEBHOOK_SECRET"),
        (&["worker"], "PUBLIC_URL", "http://kiln.example.com", "PUBLIC_URL"),
        (&["worker"], "MODAL_ENDPOINT_URL", "https://x.modal.run/submit", "MODAL_ENDPOINT_URL"),
        (&["worker"], "R2_ENDPOINT", "canary", "R2_ENDPOINT"),
        (&["api", "--listen", "0.0.0.0:0"], "KILN_API_KEYS_FILE", "", "KILN_API_KEYS_FILE"),
        (&["api"], "KILN_API_KEYS_FILE", "absent.json", "absent.json"),
        (&["api"], "KILN_CORS_ORIGIN", "https://example.com/page", "KILN_CORS_ORIGIN"),
        (&["probe", "absent.mp4"], "NATS_URL", "", "absent.mp4"),
    ];
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    for (arguments, variable, value, word) in rows {
        let mut command = Command::new(kiln());
        command.args(arguments).current_dir(folder.path()).stdin(Stdio::null()).kill_on_drop(true);
        command.envs(good).env(variable, value);
        let output = tokio::time::timeout(crate::world::LIMIT, command.output()).await;
        let output = output.expect("it ends by itself").expect("kiln runs");
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{arguments:?} with {variable}={value}");
        assert!(log.contains(word), "{arguments:?} with {variable}={value}: {log}");
        assert!(!log.contains("panicked") && !log.contains("canary"), "{arguments:?}: {log}");
    }
}

#[tokio::test]
async fn a_request_with_headers_that_nobody_can_read_ends_as_its_payload_says() {
    let mut world = TestWorld::start().await;
    let spec = r#"{"spec":{"audio":{"key":"renders/0193a5c0-7c1e-7b3a-9d52-1f0c8a7be002/audio.wav"}}}"#;
    let rows = [
        ("0193a5c0-7c1e-7b3a-9d52-1f0c8a7be001", "garbage", Code::InvalidRequest),
        ("0193a5c0-7c1e-7b3a-9d52-1f0c8a7be002", spec, Code::AudioMissing),
    ];
    let nats = world.world().addresses.nats.trim_start_matches("nats://").to_owned();
    for (job, payload, _) in rows {
        let mut socket = TcpStream::connect(&nats).await.expect("NATS listens");
        let headers = b"NATS/1.0\r\nX: \xff\r\n\r\n";
        let lengths = format!("{} {}", headers.len(), headers.len() + payload.len());
        let line = format!("CONNECT {{\"headers\":true}}\r\nHPUB render.{job}.requested {lengths}\r\n");
        for part in [line.as_bytes(), headers, payload.as_bytes(), b"\r\n"] {
            socket.write_all(part).await.expect("it is sent");
        }
        socket.shutdown().await.expect("it is sent");
    }
    for (job, _, code) in rows {
        let job = JobId::parse(job).expect("it is a job id");
        let failed = async || world.client.poll(job).await.ok().and_then(|poll| poll.error);
        let failure = wait_for("the failure", failed).await;
        assert_eq!(failure.code, code);
        assert_eq!(world.kinds(job).await, ["requested", "failed"]);
    }
    let audio = world.music(1);
    // Each of those messages costs the connections that it reaches; meanwhile nothing is promised.
    let submit = async || world.client.submit(&audio, &RenderRequest::default(), |_| {}).await.ok();
    let job = wait_for("a promise", submit).await.job_id;
    assert_eq!(world.wait_for_end(job).await.status, Status::Complete, "others are served");
    world.stop().await;
}

#[tokio::test]
async fn a_second_world_in_one_folder_is_refused() {
    let world = TestWorld::start().await;
    let data = world.folder.path().join("data");
    assert!(data.join("dev.json").exists());
    let command = Command::new(kiln()).args(["dev", "--listen", "127.0.0.1:0", "--data"]).arg(&data).output();
    let output = command.await.expect("kiln runs");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && log.contains("another kiln dev"), "{log}");
    world.stop().await;
    assert!(!data.join("dev.json").exists());
}
