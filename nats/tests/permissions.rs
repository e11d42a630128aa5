//! Who may do what, with the very files that production uses.

use std::path::PathBuf;

use events::Secret;
use nats::topology::{self, KV_JOBS, RENDER, RENDER_DEAD, RENDER_PROGRESS};
use nats::{Bus, Log, Login, Settings};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::{World, job_id, requested};

mod life;
mod recipes;
mod rights;

/// Everybody whom `auth.conf` knows.
const USERS: [&str; 7] = ["api", "worker", "webhook", "projector", "serve", "operator", "publisher"];

/// A subject, and who may publish to it.
const PUBLISH: [(&str, &str); 59] = [
    ("render.{id}.requested", "api serve operator publisher"),
    ("render.{id}.dispatched.1", "worker serve"),
    ("render.{id}.started.1", "webhook serve"),
    ("render.{id}.attempt_failed.1", "worker webhook serve"),
    ("render.{id}.completed", "worker webhook serve"),
    ("render.{id}.cancelled", "api serve operator"),
    ("render.{id}.failed", "worker serve"),
    ("render.{id}.progressed", "worker webhook serve"),
    ("dead.render.{id}.completed", "worker projector serve"),
    ("$KV.JOBS.{id}", "projector serve operator"),
    ("render.{id}", ""),
    ("anything", ""),
    ("_INBOX.api.1", ""),
    ("_INBOX.operator.1", ""),
    ("_INBOX.1", ""),
    ("$JS.API.INFO", "api worker webhook projector serve operator"),
    ("$JS.API.STREAM.INFO.RENDER", "api worker webhook projector serve operator"),
    ("$JS.API.CONSUMER.INFO.RENDER.worker", "api worker webhook projector serve operator"),
    ("$JS.API.STREAM.MSG.GET.RENDER", "api worker webhook projector serve operator"),
    ("$JS.API.STREAM.MSG.GET.RENDER_PROGRESS", "projector serve operator"),
    ("$JS.API.DIRECT.GET.RENDER", "api worker webhook projector serve operator"),
    ("$JS.API.STREAM.MSG.GET.KV_JOBS", "api projector serve operator"),
    ("$JS.API.DIRECT.GET.KV_JOBS", "api projector serve operator"),
    ("$JS.API.DIRECT.GET.KV_JOBS.$KV.JOBS.{id}", "api projector serve operator"),
    ("$JS.API.DIRECT.GET.RENDER_PROGRESS.render.{id}.progressed", "api worker webhook serve operator"),
    ("$JS.API.DIRECT.GET.RENDER_DEAD", "operator"),
    ("$JS.API.STREAM.MSG.GET.RENDER_DEAD", "api serve operator"),
    ("$JS.API.STREAM.INFO.RENDER_DEAD", "api worker webhook projector serve operator"),
    ("$JS.API.STREAM.NAMES", "operator"),
    ("$JS.API.STREAM.CREATE.RENDER", "operator"),
    ("$JS.API.STREAM.CREATE.OTHER", ""),
    ("$JS.API.STREAM.UPDATE.RENDER", "operator"),
    ("$JS.API.STREAM.SNAPSHOT.RENDER", "operator"),
    ("$JS.API.STREAM.RESTORE.RENDER", "operator"),
    ("$JS.API.STREAM.RESTORE.OTHER", ""),
    ("$JS.API.STREAM.DELETE.RENDER", ""),
    ("$JS.API.STREAM.DELETE.KV_JOBS", ""),
    ("$JS.API.STREAM.PURGE.RENDER", ""),
    ("$JS.API.STREAM.PURGE.KV_JOBS", ""),
    ("$JS.API.STREAM.MSG.DELETE.RENDER", ""),
    ("$JS.API.STREAM.MSG.DELETE.RENDER_DEAD", ""),
    ("$JS.API.STREAM.PEER.REMOVE.RENDER", ""),
    ("$JS.API.CONSUMER.CREATE.KV_JOBS", "api serve operator"),
    ("$JS.API.CONSUMER.CREATE.RENDER.worker.filter", "operator"),
    ("$JS.API.CONSUMER.CREATE.RENDER", "operator"),
    ("$JS.API.CONSUMER.DURABLE.CREATE.RENDER.worker", ""),
    ("$JS.API.CONSUMER.DELETE.RENDER.worker", ""),
    ("$JS.API.CONSUMER.DELETE.KV_JOBS.watch", "api serve operator"),
    ("$JS.API.CONSUMER.PAUSE.RENDER.worker", ""),
    ("$JS.API.CONSUMER.RESET.RENDER.projector", "api serve operator"),
    ("$JS.API.CONSUMER.RESET.RENDER.worker", "operator"),
    ("$JS.API.CONSUMER.RESET.RENDER_PROGRESS.projector", "operator"),
    ("$JS.API.CONSUMER.MSG.NEXT.RENDER.worker", "worker serve operator"),
    ("$JS.API.CONSUMER.MSG.NEXT.RENDER.projector", "projector serve operator"),
    ("$JS.ACK.RENDER.worker.1.1.1.1.0", "worker serve operator"),
    ("$JS.ACK.RENDER.projector.1.1.1.1.0", "projector serve operator"),
    ("$JS.API.ACCOUNT.PURGE.KILN", ""),
    ("$SYS.REQ.USER.INFO", "api worker webhook projector serve operator"),
    ("$SYS.REQ.SERVER.PING", ""),
];

/// A subject, and who may listen to it.
const SUBSCRIBE: [(&str, &str); 14] = [
    ("_INBOX.api.>", "api serve publisher"),
    ("_INBOX.worker.>", "worker serve publisher"),
    ("_INBOX.webhook.>", "webhook serve publisher"),
    ("_INBOX.projector.>", "projector serve publisher"),
    ("_INBOX.serve.>", "serve publisher"),
    ("_INBOX.operator.>", "operator publisher"),
    ("_INBOX.>", "publisher"),
    ("render.>", "worker webhook serve operator"),
    ("$KV.JOBS.>", "operator"),
    ("dead.render.>", "operator"),
    ("$JS.EVENT.ADVISORY.>", "operator"),
    ("$JS.API.>", ""),
    ("$SYS.>", ""),
    (">", ""),
];

pub(crate) fn server_file(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "server", name].iter().collect()
}

fn password(user: &str) -> String {
    format!("the {user}'s own")
}

/// What the server reads, in quotes since it may hold anything.
pub(crate) fn passwords() -> Vec<(String, Secret)> {
    let variable = |user: &str| format!("KILN_{}_PASSWORD", user.to_uppercase());
    USERS.iter().map(|user| (variable(user), Secret::new(format!("\"{}\"", password(user))))).collect()
}

/// As a role's variables give it.
pub(crate) fn settings(urls: &str, user: &str) -> Settings {
    let login = Login::Password(user.to_owned(), Secret::new(password(user)));
    Settings { login, ..Settings::new(urls, user) }
}

impl World {
    async fn secured() -> Self {
        let world = Self::with(|options| {
            options.file = Some(server_file("single.conf"));
            options.variables = passwords();
        })
        .await;
        let changes = topology::provision(&world.bus_of("operator").await, &topology::Tunables::default()).await;
        assert_eq!(changes.expect("the operator may").len(), 7);
        world
    }

    async fn bus_of(&self, user: &str) -> Bus {
        Bus::connect(&settings(self.server.url(), user)).await.expect("the login is right")
    }

    async fn log_of(&self, user: &str) -> Log {
        Log::new(self.bus_of(user).await)
    }

    /// All that could be lost or added: each stream's messages, its last sequence and its durable consumers.
    async fn states(&self) -> Vec<(&'static str, u64, u64, usize)> {
        let context = async_nats::jetstream::new(self.bus_of("operator").await.client().clone());
        let mut states = Vec::new();
        for name in [RENDER, RENDER_PROGRESS, RENDER_DEAD, KV_JOBS] {
            let stream = context.get_stream(name).await.expect("the stream is there");
            let state = &stream.cached_info().state;
            states.push((name, state.messages, state.last_sequence, state.consumer_count));
        }
        states
    }
}

/// A connection without a client library in between, which would keep errors to itself.
struct Wire {
    socket: BufReader<TcpStream>,
}

impl Wire {
    async fn login(world: &World, user: &str) -> Self {
        let address = world.server.url().trim_start_matches("nats://");
        let mut wire = Self { socket: BufReader::new(TcpStream::connect(address).await.expect("connected")) };
        let hello =
            format!(r#"CONNECT {{"verbose":false,"headers":true,"user":"{user}","pass":"{}"}}"#, password(user));
        assert_eq!(wire.say(&hello).await, Vec::<String>::new(), "{user}");
        wire
    }

    /// What the server objects to in a command.
    async fn say(&mut self, command: &str) -> Vec<String> {
        self.socket.write_all(format!("{command}\r\nPING\r\n").as_bytes()).await.expect("sent");
        let (mut errors, mut line) = (Vec::new(), String::new());
        while line.trim() != "PONG" {
            errors.extend(line.starts_with("-ERR").then(|| line.trim().to_owned()));
            line.clear();
            assert_ne!(self.socket.read_line(&mut line).await.expect("an answer"), 0, "{command}: cut off");
        }
        errors
    }
}

#[tokio::test]
async fn everybody_may_do_what_the_tables_say_and_nothing_else() {
    let world = World::secured().await;
    let job = job_id(1).to_string();
    world.log_of("api").await.append(job_id(1), 0, &requested()).await.expect("stored");
    let commands = |user: &'static str, may: bool| {
        let row = move |(subject, users): &(&str, &str)| {
            (users.split(' ').any(|name| name == user) == may).then(|| subject.replace("{id}", &job))
        };
        let publish = PUBLISH.iter().filter_map(row.clone()).map(|subject| format!("PUB {subject} 2\r\n{{}}"));
        let subscribe = SUBSCRIBE.iter().filter_map(row).enumerate().map(|(n, subject)| format!("SUB {subject} {n}"));
        publish.chain(subscribe).collect::<Vec<_>>()
    };
    let before = world.states().await;
    for user in USERS {
        let mut wire = Wire::login(&world, user).await;
        for command in commands.clone()(user, false) {
            let errors = wire.say(&command).await;
            assert!(errors.len() == 1 && errors[0].contains("Permissions Violation"), "{user}: {command}: {errors:?}");
        }
    }
    assert_eq!(world.states().await, before, "a refusal has no effect");
    for user in USERS {
        let mut wire = Wire::login(&world, user).await;
        for command in commands.clone()(user, true) {
            assert_eq!(wire.say(&command).await, Vec::<String>::new(), "{user}: {command}");
        }
    }
}
