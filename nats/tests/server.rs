//! The private server itself.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use async_nats::jetstream;
use nats::server::{Error, Options, Server};
use tokio::net::TcpStream;

use crate::{World, folder, program, wait_for};

#[tokio::test]
async fn a_server_keeps_its_port_and_its_messages_when_it_is_killed() {
    let mut world = World::new().await;
    let url = world.server.url().to_owned();
    let client = async_nats::connect(&url).await.expect("connected");
    let context = jetstream::new(client);
    let config = jetstream::stream::Config { name: "S".into(), subjects: vec!["s".into()], ..Default::default() };
    context.create_stream(config).await.expect("a stream");
    context.publish("s", "one".into()).await.expect("sent").await.expect("stored");

    world.server.kill();
    world.server.restart().await.expect("started again");

    assert_eq!(world.server.url(), url);
    let messages = wait_for("the stream", async || context.get_stream("S").await.ok()).await;
    assert_eq!(messages.cached_info().state.messages, 1);
    assert_eq!(messages.cached_info().config.num_replicas, 1);
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why() {
    let world = World::new().await;
    let other = folder();
    let port = world.server.url().rsplit(':').next().expect("a port").parse().expect("a number");

    let taken = Server::start(Options { port, ..Options::new(program(), other.path()) }).await;
    let text = taken.expect_err("the port is taken").to_string();
    assert!(text.contains("address already in use"), "{text}");

    let wrong =
        Server::start(Options { extra: "nonsense: true".into(), ..Options::new(program(), other.path()) }).await;
    let text = wrong.expect_err("an unknown field").to_string();
    assert!(text.contains("nonsense"), "{text}");

    let absent = Options { wrapper: vec![], ..Options::new("/absent/nats-server", other.path()) };
    let error = Server::start(absent).await.expect_err("no such program");
    assert!(matches!(error, Error::Spawn { .. }), "{error:?}");
}

#[tokio::test]
async fn a_server_ends_with_the_process_that_started_it() {
    const PARENT: &str = "KILN_TEST_IS_PARENT";
    if std::env::var_os(PARENT).is_some() {
        let world = World::new().await;
        println!("url {}", world.server.url());
        return std::future::pending().await;
    }
    let mut parent = Command::new(std::env::current_exe().expect("this test"));
    parent.args(["--exact", "server::a_server_ends_with_the_process_that_started_it", "--nocapture"]);
    let mut parent = parent.env(PARENT, "1").stdout(Stdio::piped()).spawn().expect("this test again");
    let mut lines = BufReader::new(parent.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let url = lines.find_map(|line| line.split_once("url nats://").map(|(_, url)| url.to_owned())).expect("its url");
    TcpStream::connect(&url).await.expect("the server listens");

    parent.kill().expect("killed");
    parent.wait().expect("ended");

    wait_for("the server to end", async || TcpStream::connect(&url).await.err()).await;
}
