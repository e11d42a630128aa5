//! Each role in a process of its own, set up by variables as in production.

use std::process::Stdio;

use events::wire::client::RenderRequest;
use kiln::client::kiln::Client;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::support::{kiln, wait_for};
use crate::world::TestWorld;

/// A port that was free a moment ago.
pub(crate) async fn port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    listener.local_addr().expect("it has an address").port()
}

/// A role of the world, for a process of its own.
pub(crate) fn role(world: &mut TestWorld, name: &str, arguments: &[&str]) -> Command {
    let folder = world.folder.path().join("data/secrets.json");
    let secrets: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder).expect("the secrets are there")).expect("they are JSON");
    let secret = |name: &str| secrets[name].as_str().expect("it is a text").to_owned();
    let addresses = world.world().addresses.clone();
    let mut command = Command::new(kiln());
    command.arg(name).args(arguments).args((name == "worker").then_some("--insecure-dev"));
    command
        .env("NATS_URL", &addresses.nats)
        .env("R2_ENDPOINT", &addresses.s3)
        .env("R2_BUCKET_NAME", &addresses.bucket)
        .env("R2_ACCESS_KEY_ID", "kiln-dev")
        .env("R2_SECRET_ACCESS_KEY", secret("s3"))
        .env("MODAL_ENDPOINT_URL", &addresses.modal)
        .env("MODAL_KEY", "kiln-dev")
        .env("MODAL_SECRET", secret("modal"))
        .env("PUBLIC_URL", &addresses.api)
        .env("INTERNAL_WEBHOOK_SECRET", secret("webhook"))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command
}

async fn status(http: &reqwest::Client, url: &str) -> Option<u16> {
    http.get(url).send().await.ok().map(|response| response.status().as_u16())
}

pub(crate) async fn is_ready(http: &reqwest::Client, base: &str) -> bool {
    status(http, &format!("{base}/readyz")).await == Some(200)
}

#[tokio::test]
async fn every_role_runs_alone_tells_how_it_is_and_ends_when_asked() {
    let mut world = TestWorld::start().await;
    let mut children = Vec::new();
    let mut bases = Vec::new();
    for (name, flag) in
        [("api", "--listen"), ("webhook", "--listen"), ("worker", "--health-listen"), ("projector", "--health-listen")]
    {
        let address = format!("127.0.0.1:{}", port().await);
        children.push(role(&mut world, name, &[flag, &address]).spawn().expect("kiln runs"));
        bases.push(format!("http://{address}"));
    }
    for base in &bases {
        wait_for("readiness", async || is_ready(&world.http, base).await.then_some(())).await;
        assert_eq!(status(&world.http, &format!("{base}/livez")).await, Some(200));
        assert_eq!(status(&world.http, &format!("{base}/metrics")).await, Some(200));
    }
    let audio = world.music(1);
    let job =
        Client::new(&bases[0]).submit(&audio, &RenderRequest::default(), |_| {}).await.expect("it is accepted").job_id;
    assert_eq!(world.wait_for_end(job).await.status, events::Status::Complete);
    world.world().nats().kill();
    for base in &bases {
        wait_for("a red readiness", async || {
            (status(&world.http, &format!("{base}/readyz")).await == Some(503)).then_some(())
        })
        .await;
        assert_eq!(status(&world.http, &format!("{base}/livez")).await, Some(200));
    }
    world.world().nats().restart().await.expect("it starts again");
    for child in &mut children {
        let id = child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())).expect("it runs");
        rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("it can be asked to end");
        let ended = tokio::time::timeout(crate::world::LIMIT, child.wait()).await.expect("it ends").expect("it ends");
        assert!(ended.success(), "{ended}");
    }
    world.stop().await;
}
