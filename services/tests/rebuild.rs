//! The bucket made again from the log, and compared with it, by the command.

use std::process::{Output, Stdio};

use events::event::Requested;
use events::{Event, JobId};
use nats::server::{Options, Server};
use nats::tool::NATS_SERVER;
use nats::{Bus, Jobs, Log, Settings, topology};
use serde_json::json;
use tokio::process::Command;

use crate::support::kiln;

async fn rebuild(server: &Server, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(kiln());
    command.arg("rebuild").args(arguments).args(["--nats-url", server.url()]).stdin(Stdio::null()).kill_on_drop(true);
    let Output { status, stdout, stderr } = command.output().await.expect("kiln runs");
    assert_eq!(String::from_utf8_lossy(&stderr), "", "nothing but the report");
    (status.code(), String::from_utf8(stdout).expect("it is text"))
}

#[tokio::test]
async fn a_rebuild_makes_the_bucket_whole_and_a_verification_names_what_differs() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let program = NATS_SERVER.find(&|_| {}).expect("it is found or fetched");
    let server = Server::start(Options::new(program, folder.path())).await.expect("it starts");
    let bus = Bus::connect(&Settings::new(server.url(), "operator")).await.expect("connected");
    topology::provision(&bus, &topology::Tunables::default()).await.expect("provisioned");
    let log = Log::new(bus.clone());
    let spec = serde_json::from_value(json!({"audio": {"url": "https://example.com/song.flac"}})).expect("a request");
    let requested = Event::Requested(Requested { spec });
    let ids: Vec<_> = (1..=30).map(|n| JobId::new(n, [0; 10])).collect();
    for id in &ids {
        log.append(*id, 0, &requested).await.expect("stored");
    }
    let ask = async |to: String, body: String| {
        let answer = bus.client().request(to, body.into()).await.expect("an answer");
        assert!(!String::from_utf8_lossy(&answer.payload).contains("\"error\""), "{:?}", answer.payload);
    };

    let (code, report) = rebuild(&server, &["--verify"]).await;
    assert_eq!((code, report.lines().count()), (Some(1), 31), "{report}");
    assert!(report.ends_with("30 of 30 jobs differ; `kiln rebuild` mends them\n"), "{report}");
    let (code, report) = rebuild(&server, &[]).await;
    assert!(code == Some(0) && report.starts_with("30 messages read, 30 entries written, in "), "{report}");
    let equal = (Some(0), "30 jobs compared: every entry is the fold of the log\n".to_owned());
    assert_eq!(rebuild(&server, &["--verify"]).await, equal);

    ask("$JS.API.STREAM.PURGE.KV_JOBS".into(), json!({"filter": format!("$KV.JOBS.{}", ids[3])}).to_string()).await;
    let (_, mut spoilt) = Jobs::new(bus.clone()).get(ids[4]).await.expect("readable").expect("an entry");
    spoilt.status = events::Status::Failed;
    ask(format!("$KV.JOBS.{}", ids[4]), serde_json::to_string(&spoilt).expect("it is JSON")).await;
    ask(format!("$KV.JOBS.{}", ids[5]), "garbage".into()).await;
    let (code, report) = rebuild(&server, &["--verify"]).await;
    let lines = [
        format!("{}: no readable entry", ids[3]),
        format!("{}: `status`", ids[4]),
        format!("{}: no readable entry", ids[5]),
        "3 of 30 jobs differ; `kiln rebuild` mends them".into(),
    ];
    assert_eq!((code, report.lines().map(str::to_owned).collect::<Vec<_>>()), (Some(1), lines.to_vec()));
    assert!(rebuild(&server, &[]).await.1.starts_with("30 messages read, 3 entries written, in "));
    assert_eq!(rebuild(&server, &["--verify"]).await, equal);

    ask("$JS.API.STREAM.PURGE.KV_JOBS".into(), "{}".into()).await;
    assert!(rebuild(&server, &[]).await.1.starts_with("30 messages read, 30 entries written, in "));
    assert_eq!(rebuild(&server, &["--verify"]).await, equal);
}
