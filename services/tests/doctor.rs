//! Every mistake in what kiln stands on is told by its name, and the dangerous ones forbid a start.

mod log;
mod outside;

use std::path::Path;
use std::process::Stdio;

use async_nats::jetstream;
use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use events::Secret;
use kiln::config::{self, Strictness};
use kiln::doctor::{self, Finding, Level};
use kiln::http::problem::Problem;
use nats::Bus;
use nats::server::{Options, Server};
use nats::topology::{self, Tunables};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::stage::Store;
use crate::support::{self, kiln, nowhere, serve};
use crate::world::TestWorld;

/// What the role `api` may do, and who may do everything.
const USERS: &str = r#"authorization { users: [
    { user: operator, password: secret }
    { user: api, password: secret, permissions: {
        publish: ["render.*.requested", "render.*.cancelled", "$JS.API.INFO", "$JS.API.*.INFO.>", "$JS.API.DIRECT.GET.>",
                  "$JS.API.STREAM.MSG.GET.*", "$JS.API.CONSUMER.RESET.RENDER.projector", "$SYS.REQ.USER.INFO"]
        subscribe: ["_INBOX.api.>"] } }
    { user: worker, password: secret, permissions: {
        publish: ["$JS.API.INFO", "$JS.API.*.INFO.>", "$JS.API.DIRECT.GET.>", "$SYS.REQ.USER.INFO"]
        subscribe: ["_INBOX.worker.>"] } }
] }"#;

/// Everything that kiln stands on, well at first.
struct Clinic {
    args: doctor::Args,
    store: Store,
    server: Server,
    _outside: [support::Server; 2],
    _folder: TempDir,
}

impl Clinic {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let program = nats::tool::NATS_SERVER.find(&|_| ()).expect("a nats-server");
        let mut options = Options { extra: USERS.into(), ..Options::new(program, folder.path()) };
        change(&mut options);
        let server = Server::start(options).await.expect("a server");
        let (store, modal) = (Store::new().await, serve(Router::new().route("/status", post(status))).await);
        let webhook = Router::new()
            .route("/livez", get(|| async { "alive\n" }))
            .route("/api/webhooks/worker", post(|| async { Problem::unauthorized() }));
        let webhook = serve(kiln::http::finish(webhook, None, &kiln::metrics::Metrics::new())).await;
        let args = doctor::Args {
            role: "api".into(),
            json: false,
            nats: log_of(&server, "api"),
            bucket: Some(store.config.clone()),
            modal: Some(modal_at(&modal.url)),
            public: config::Public { public_url: Some(webhook.url.clone()), callback_url: None },
            strictness: Strictness { insecure_dev: true },
        };
        let clinic = Self { args, store, server, _outside: [modal, webhook], _folder: folder };
        topology::provision(&clinic.operator().await, &Tunables::default()).await.expect("provisioned");
        clinic
    }

    async fn operator(&self) -> Bus {
        kiln::roles::connect(&log_of(&self.server, "operator"), "operator").await.expect("connected")
    }

    async fn examine(&self) -> Vec<Finding> {
        doctor::examine(&self.args).await
    }

    /// What a role says that starts here.
    async fn start(&self, insecure_dev: bool) -> Result<(), String> {
        let bus = kiln::roles::connect(&self.args.nats, &self.args.role).await.expect("connected");
        let started = doctor::before_start(&self.args.nats, &bus, Strictness { insecure_dev }).await;
        started.map_err(|error| error.to_string())
    }

    /// The log, made by somebody who knows better.
    async fn remake_log(&self, change: impl FnOnce(&mut Map<String, Value>)) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../nats/streams/RENDER.json");
        let mut config: Map<String, Value> =
            serde_json::from_slice(&std::fs::read(file).expect("the file is there")).expect("it is JSON");
        change(&mut config);
        let client = self.operator().await.client().clone();
        jetstream::new(client.clone()).delete_stream(topology::RENDER).await.expect("deleted");
        let body = serde_json::to_vec(&config).expect("JSON");
        let made = client.request("$JS.API.STREAM.CREATE.RENDER", body.into()).await.expect("an answer");
        assert!(!String::from_utf8_lossy(&made.payload).contains("\"error\""), "{made:?}");
    }
}

fn log_of(server: &Server, user: &str) -> config::Nats {
    config::Nats {
        nats_url: server.url().to_owned(),
        nats_creds: None,
        nats_nkey: None,
        nats_user: Some(user.into()),
        nats_password: Some(Secret::new("secret")),
        nats_ca: None,
        nats_monitor_url: Some(server.monitor_url().to_owned()),
    }
}

fn modal_at(url: &str) -> config::Modal {
    config::Modal {
        modal_endpoint_url: url.to_owned(),
        modal_key: Secret::new("key"),
        modal_secret: Secret::new("canary"),
    }
}

/// As the app answers, whose proxy looks at the keys.
async fn status(headers: HeaderMap) -> Response {
    if headers.get("modal-key").is_some_and(|key| key == "key") {
        axum::Json(json!({"calls": {}})).into_response()
    } else {
        StatusCode::UNAUTHORIZED.into_response()
    }
}

/// The finding of a check, which must say this.
#[track_caller]
fn expect(found: &[Finding], check: &str, level: Level, word: &str) {
    let said = |finding: &&Finding| {
        let text = format!("{} {}", finding.message, finding.mend.as_deref().unwrap_or_default());
        finding.check == check && finding.level == level && text.contains(word)
    };
    assert!(found.iter().any(|finding| said(&finding)), "no {level:?} of {check} with `{word}`: {found:#?}");
    assert!(!doctor::report(found, true).0.contains("canary"), "{found:#?}");
}

#[tokio::test]
async fn the_command_prints_a_line_for_each_check_and_fails_where_something_is_wrong() {
    let mut world = TestWorld::start().await;
    let run = async |world: &mut TestWorld, arguments: &[&str], modal: &str| {
        let secrets = std::fs::read(world.folder.path().join("data/secrets.json")).expect("the secrets are there");
        let secrets: Value = serde_json::from_slice(&secrets).expect("they are JSON");
        let addresses = world.world().addresses.clone();
        let mut command = Command::new(kiln());
        command.arg("doctor").args(arguments).stdin(Stdio::null()).kill_on_drop(true);
        command
            .env("NATS_URL", &addresses.nats)
            .env("NATS_MONITOR_URL", world.world().nats().monitor_url())
            .env("R2_ENDPOINT", &addresses.s3)
            .env("R2_BUCKET_NAME", &addresses.bucket)
            .env("R2_ACCESS_KEY_ID", "kiln-dev")
            .env("R2_SECRET_ACCESS_KEY", secrets["s3"].as_str().expect("a key"))
            .env("MODAL_ENDPOINT_URL", modal)
            .env("MODAL_KEY", "kiln-dev")
            .env("MODAL_SECRET", secrets["modal"].as_str().expect("a key"))
            .env("PUBLIC_URL", &addresses.api);
        let output = command.output().await.expect("kiln runs");
        (output.status.success(), String::from_utf8(output.stdout).expect("text"))
    };
    let modal = world.world().addresses.modal.clone();
    let (is_well, text) = run(&mut world, &["--insecure-dev"], &modal).await;
    assert!(is_well && text.contains("ok       sync") && text.contains("ok       webhook"), "{text}");
    let (is_well, text) = run(&mut world, &["--insecure-dev", "--json"], &nowhere().await).await;
    let found: Vec<Value> = serde_json::from_str(&text).expect("it is JSON");
    let modal = found.iter().find(|finding| finding["check"] == "modal").expect("it was checked");
    assert!(!is_well && modal["level"] == "wrong" && modal["mend"].is_string(), "{modal}");
    let mut command = Command::new(kiln());
    let address = world.world().addresses.nats.clone();
    let alone = command.arg("doctor").env("NATS_URL", address).output().await.expect("kiln runs");
    assert!(alone.status.success(), "with NATS alone the rest is left out: {alone:?}");
    world.stop().await;
}
