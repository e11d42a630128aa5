//! What can be learnt of servers, users and limits without changing anything.

use std::time::Duration;

use events::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;

use crate::tool::Version;
use crate::topology::RENDER;
use crate::{Bus, Cause, Error};

/// How long a server may take to greet.
const GREETING_LIMIT: Duration = Duration::from_secs(3);

/// The first line that a server sends to whoever connects.
#[derive(Debug, Clone, Deserialize)]
pub struct Greeting {
    version: String,
    /// Whether it asks who one is.
    #[serde(default)]
    pub auth_required: bool,
    /// Whether it has `JetStream`.
    #[serde(default)]
    pub jetstream: bool,
}

impl Greeting {
    /// The server's version; `None` for one that is no number.
    pub fn version(&self) -> Option<Version> {
        Version::read(&format!("nats-server {}", self.version))
    }
}

/// Connects to `host:port` and reads the greeting, which comes before any login. A word about what went wrong, else.
pub async fn greet(address: &str) -> Result<Greeting, String> {
    let greeting = async {
        let socket = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        let line = BufReader::new(socket).lines().next_line().await.map_err(|error| error.to_string())?;
        let text =
            line.as_deref().and_then(|line| line.strip_prefix("INFO ")).ok_or("it does not greet as NATS does")?;
        serde_json::from_str(text).map_err(|_| "its greeting cannot be read".to_owned())
    };
    tokio::time::timeout(GREETING_LIMIT, greeting).await.map_err(|_| "it does not answer in time")?
}

/// `host:port` of every server that the settings or the connected server name.
pub fn known_servers(bus: &Bus, servers: &str) -> Vec<String> {
    let told = bus.client().server_info().connect_urls;
    let named = crate::login::addresses(servers);
    let mut all: Vec<String> = named.split(", ").map(str::to_owned).chain(told).collect();
    all.sort();
    all.dedup();
    all
}

/// What the server knows of whoever is connected.
#[derive(Debug, Clone)]
pub struct User {
    /// The name it goes by.
    pub name: String,
    /// The server's clock when it answered.
    pub server_time: Option<Timestamp>,
    rights: Option<Rights>,
}

/// Which subjects may be used; without a list, all.
#[derive(Debug, Clone, Default, Deserialize)]
struct Rights {
    #[serde(default)]
    publish: Subjects,
    #[serde(default)]
    subscribe: Subjects,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Subjects {
    #[serde(default)]
    allow: Vec<String>,
    #[serde(default)]
    deny: Vec<String>,
}

impl User {
    /// Asks the server who is connected, and what that user may do. Nobody answers where the user may not ask.
    pub async fn ask(bus: &Bus) -> Result<Self, Error> {
        let answer: Value = bus.request_plain("$SYS.REQ.USER.INFO").await.map_err(Error::Inspect)?;
        let rights = answer["data"].get("permissions").cloned();
        Ok(Self {
            name: answer["data"]["user"].as_str().unwrap_or_default().to_owned(),
            server_time: answer["server"]["time"].as_str().and_then(|time| Timestamp::parse(time).ok()),
            rights: rights.and_then(|rights| serde_json::from_value(rights).ok()),
        })
    }

    /// Whether nothing is forbidden to this user.
    pub fn may_everything(&self) -> bool {
        self.rights.is_none()
    }

    /// The subjects that a role needs and this user may not use.
    pub fn lacks(&self, role: &str) -> Vec<&'static str> {
        let Some(Rights { publish, subscribe }) = &self.rights else { return Vec::new() };
        let inbox = format!("_INBOX.{role}.x.y");
        let mut lacking: Vec<_> = needs(role).filter(|subject| !publish.allows(subject)).collect();
        if !subscribe.allows(&inbox) {
            lacking.push("_INBOX.{role}.>");
        }
        lacking
    }

    /// The requests that destroy facts and that this user may send.
    pub fn may_destroy(&self) -> Vec<&'static str> {
        let allows = |subject: &&str| self.rights.as_ref().is_none_or(|rights| rights.publish.allows(subject));
        DESTROYERS.into_iter().filter(allows).collect()
    }
}

/// What nobody needs: whoever may send these can make the log forget.
const DESTROYERS: [&str; 3] =
    ["$JS.API.STREAM.DELETE.RENDER", "$JS.API.STREAM.PURGE.RENDER", "$JS.API.STREAM.MSG.DELETE.RENDER"];

/// What a role publishes, by way of example; the ids are nobody's. `serve` is all roles in one process.
fn needs(role: &str) -> impl Iterator<Item = &'static str> {
    const READ: &[&str] =
        &["$JS.API.STREAM.INFO.RENDER", "$JS.API.CONSUMER.INFO.RENDER.worker", "$JS.API.DIRECT.GET.RENDER"];
    let own = NEEDS.iter().filter(move |(name, _)| *name == role || role == "serve");
    let own: Vec<_> = own.flat_map(|(_, subjects)| subjects.iter()).collect();
    READ.iter().chain(own).copied()
}

const NEEDS: [(&str, &[&str]); 4] = [
    (
        "api",
        &[
            "render.x.requested",
            "render.x.cancelled",
            "$JS.API.STREAM.MSG.GET.RENDER",
            "$JS.API.DIRECT.GET.KV_JOBS.x",
            "$JS.API.STREAM.MSG.GET.RENDER_DEAD",
            "$JS.API.CONSUMER.RESET.RENDER.projector",
        ],
    ),
    (
        "webhook",
        &[
            "render.x.started.1",
            "render.x.attempt_failed.1",
            "render.x.completed",
            "render.x.progressed",
            "$JS.API.STREAM.MSG.GET.RENDER",
        ],
    ),
    (
        "worker",
        &[
            "render.x.dispatched.1",
            "render.x.attempt_failed.1",
            "render.x.completed",
            "render.x.failed",
            "render.x.progressed",
            "$JS.API.STREAM.MSG.GET.RENDER",
            "$JS.API.CONSUMER.MSG.NEXT.RENDER.worker",
            "$JS.ACK.RENDER.worker.1.2.3.4.5",
        ],
    ),
    (
        "projector",
        &[
            "$KV.JOBS.x",
            "dead.render.x.requested",
            "$JS.API.CONSUMER.MSG.NEXT.RENDER.projector",
            "$JS.ACK.RENDER.projector.1.2.3.4.5",
            "$JS.API.CONSUMER.MSG.NEXT.RENDER_PROGRESS.projector",
            "$JS.ACK.RENDER_PROGRESS.projector.1.2.3.4.5",
        ],
    ),
];

impl Subjects {
    fn allows(&self, subject: &str) -> bool {
        let is_among = |list: &[String]| list.iter().any(|pattern| matches(pattern, subject));
        (self.allow.is_empty() || is_among(&self.allow)) && !is_among(&self.deny)
    }
}

/// Whether a subject without wildcards is one of those that a pattern means.
fn matches(pattern: &str, subject: &str) -> bool {
    // A permission for a queue group names the group behind a blank.
    let pattern = pattern.split(' ').next().unwrap_or_default();
    let (mut wanted, mut words) = (pattern.split('.'), subject.split('.'));
    loop {
        match (wanted.next(), words.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some(wanted), Some(word)) if wanted == "*" || wanted == word => {}
            _ => return false,
        }
    }
}

/// How the log is kept, and how much room there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Copies of the log.
    pub replicas: u64,
    /// The log's own limit in bytes, if it has one.
    pub max_bytes: Option<u64>,
    /// How long it is kept, in nanoseconds; 0 for ever.
    pub max_age_nanos: u64,
    /// What all streams of the account may hold in bytes, if that is limited.
    pub account_bytes: Option<u64>,
    /// The server's clock when it answered.
    pub server_time: Option<Timestamp>,
}

/// Asks how the log is kept; `None` if there is none.
pub async fn room(bus: &Bus) -> Result<Option<Room>, Error> {
    #[derive(Deserialize)]
    struct Info {
        config: Map<String, Value>,
        #[serde(default)]
        ts: String,
    }
    let info: Result<Info, Cause> = bus.ask(&format!("STREAM.INFO.{RENDER}"), &json!({})).await;
    let (config, server_time) = match info {
        Ok(Info { config, ts }) => (config, Timestamp::parse(&ts).ok()),
        Err(Cause::Refused { status: 404, .. }) => return Ok(None),
        Err(cause) => return Err(Error::Inspect(cause)),
    };
    let account: Value = bus.ask("INFO", &json!({})).await.map_err(Error::Inspect)?;
    let number = |name: &str| config.get(name).and_then(Value::as_u64);
    Ok(Some(Room {
        replicas: number("num_replicas").unwrap_or(1),
        max_bytes: number("max_bytes"),
        max_age_nanos: number("max_age").unwrap_or(0),
        account_bytes: account["limits"]["max_storage"].as_u64().filter(|bytes| *bytes > 0),
        server_time,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_the_server_means() {
        let rows = [
            ("a.b", "a.b", true),
            ("a.b", "a.c", false),
            ("a.*", "a.b", true),
            ("a.*", "a.b.c", false),
            ("a.>", "a.b.c", true),
            ("a.>", "a", false),
            (">", "a.b", true),
            ("a.b group", "a.b", true),
        ];
        for (pattern, subject, expected) in rows {
            assert_eq!(matches(pattern, subject), expected, "{pattern} {subject}");
        }
    }
}
