//! Each role in a process of its own, set up by variables as in production.

use std::path::Path;
use std::process::Stdio;

use events::Secret;
use events::wire::client::RenderRequest;
use kiln::client::kiln::Client;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::stage::Store;
use crate::support::{kiln, wait_for};
use crate::world::TestWorld;

/// A port that was free a moment ago.
pub(crate) async fn port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    listener.local_addr().expect("it has an address").port()
}

/// A role of the world, for a process of its own.
pub(crate) fn role(world: &mut TestWorld, name: &str, arguments: &[&str]) -> Command {
    let addresses = world.world().addresses.clone();
    let secret = |name: &str| world.secret(name);
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

/// A nats-server with the files of production, and a password for each of its users.
async fn secured(folder: &Path) -> nats::server::Server {
    let users = ["api", "worker", "webhook", "projector", "serve", "operator", "publisher"];
    let variable = |user: &str| (format!("KILN_{}_PASSWORD", user.to_uppercase()), Secret::new(format!("\"{user}\"")));
    let options = nats::server::Options {
        file: Some([env!("CARGO_MANIFEST_DIR"), "../nats/server/single.conf"].iter().collect()),
        variables: users.iter().map(|user| variable(user)).collect(),
        ..nats::server::Options::new(nats::tool::NATS_SERVER.find(&|_| ()).expect("a nats-server"), folder)
    };
    nats::server::Server::start(options).await.expect("a server")
}

#[tokio::test]
async fn every_role_does_its_work_with_the_rights_of_its_own_user_and_no_more() {
    let mut world = TestWorld::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let server = secured(&folder.path().join("nats")).await;
    // Another log than the world's has another fence, and so another bucket.
    let store = Store::new().await;
    let (api, webhook) = (format!("127.0.0.1:{}", port().await), format!("127.0.0.1:{}", port().await));
    let (worker, projector) = (format!("127.0.0.1:{}", port().await), format!("127.0.0.1:{}", port().await));
    let mut start = |name: &str, user: &str, arguments: &[&str]| {
        let mut command = role(&mut world, name, arguments);
        command.env("NATS_URL", server.url()).env("NATS_MONITOR_URL", server.monitor_url());
        command.env("R2_ENDPOINT", store.config.endpoint().expect("an address"));
        command.env("R2_ACCESS_KEY_ID", "key").env("R2_SECRET_ACCESS_KEY", "secret");
        command.env("NATS_USER", user).env("NATS_PASSWORD", user).env("PUBLIC_URL", format!("http://{webhook}"));
        command.stderr(std::fs::File::create(folder.path().join(name)).expect("a log"));
        command.spawn().expect("kiln runs")
    };
    assert!(start("provision", "operator", &[]).wait().await.expect("it ends").success());
    let _roles = [
        start("api", "api", &["--listen", &api]),
        start("webhook", "webhook", &["--listen", &webhook]),
        start("worker", "worker", &["--health-listen", &worker]),
        start("projector", "projector", &["--health-listen", &projector]),
    ];
    for address in [&api, &webhook, &worker, &projector] {
        wait_for("readiness", async || is_ready(&world.http, &format!("http://{address}")).await.then_some(())).await;
    }
    let (client, audio) = (Client::new(&format!("http://{api}")), world.music(1));
    let job = client.submit(&audio, &RenderRequest::default(), |_| {}).await.expect("it is accepted").job_id;
    let done = wait_for("the end", async || client.poll(job).await.ok().filter(|poll| poll.status.is_final())).await;
    assert_eq!((done.status, done.attempt.get()), (events::Status::Complete, 1), "{done:?}");
    for log in ["provision", "api", "webhook", "worker", "projector"] {
        let text = std::fs::read_to_string(folder.path().join(log)).expect("a log");
        assert!(!text.to_lowercase().contains("permission"), "{log} was refused something: {text}");
    }
}
