//! Streams, consumers and the bucket, as files. Whoever reads them, the files are the same: this crate embeds them,
//! the command line of NATS takes them with `--config`.
//!
//! They are in the server's own, complete form, so that drift is an equality.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{Bus, Cause, Error};

/// The log.
pub const RENDER: &str = "RENDER";
/// The last progress report of each job.
pub const RENDER_PROGRESS: &str = "RENDER_PROGRESS";
/// What could not be obeyed.
pub const RENDER_DEAD: &str = "RENDER_DEAD";
/// The stream behind the bucket `JOBS`.
pub const KV_JOBS: &str = "KV_JOBS";
/// The consumer of requests; its `max_ack_pending` is the number of renders in flight.
pub const WORKER: &str = "worker";
/// The consumers that feed the bucket.
pub const PROJECTOR: &str = "projector";
/// After this long without a sign from whoever holds a message, the server gives it to another one.
pub const ACK_WAIT: Duration = Duration::from_secs(30);

const STREAMS: [&str; 4] = [
    include_str!("../streams/RENDER.json"),
    include_str!("../streams/RENDER_PROGRESS.json"),
    include_str!("../streams/RENDER_DEAD.json"),
    include_str!("../kv/JOBS.json"),
];

const CONSUMERS: [(&str, &str); 3] = [
    (RENDER, include_str!("../consumers/RENDER.worker.json")),
    (RENDER, include_str!("../consumers/RENDER.projector.json")),
    (RENDER_PROGRESS, include_str!("../consumers/RENDER_PROGRESS.projector.json")),
];

/// The server's error numbers for what does not exist.
pub(crate) const STREAM_NOT_FOUND: u64 = 10059;
pub(crate) const CONSUMER_NOT_FOUND: u64 = 10014;

/// Whether a message may be acknowledged before it is on disk.
const PERSIST_MODE: &str = "persist_mode";
/// The number that a stream gives to its first message.
const FIRST_SEQ: &str = "first_seq";

/// What an operator may choose. `None` keeps what the server has, or else what the file says.
#[derive(Debug, Clone, Default)]
pub struct Tunables {
    /// Copies of every stream: 1, 3 or 5.
    pub replicas: Option<u8>,
    /// Renders in flight, over all workers.
    pub max_renders: Option<u32>,
    /// How long the log, the bucket and the dead letters are kept.
    pub max_age: Option<Duration>,
    /// The size of the log in bytes; a full one takes no requests.
    pub max_bytes: Option<u64>,
}

/// A stream or consumer that is not as wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    object: Object,
    /// Whether the server has it at all.
    pub exists: bool,
    /// What differs.
    pub fields: Vec<Field>,
}

/// Settings of the log that its promises stand on: with another value facts can be lost, replaced or erased.
const VITAL: [&str; 12] = [
    "retention",
    "storage",
    "max_msgs",
    "max_msgs_per_subject",
    "discard",
    "discard_new_per_subject",
    "deny_delete",
    "deny_purge",
    "allow_rollup_hdrs",
    "allow_msg_ttl",
    "allow_msg_schedules",
    "subject_delete_marker_ttl",
];

impl Change {
    /// Whether the log's promises stand on a setting that differs.
    pub fn is_dangerous(&self) -> bool {
        let is_log = self.object.parent.is_none() && self.object.name == RENDER;
        self.exists && is_log && self.fields.iter().any(|field| VITAL.contains(&field.name.as_str()))
    }
}

/// A setting that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// What the server has.
    pub is: Option<Value>,
    /// What it should have.
    pub wanted: Option<Value>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.exists {
            return write!(f, "{}: absent", self.object);
        }
        let text = |value: &Option<Value>| value.as_ref().map_or("absent".to_owned(), Value::to_string);
        let fields = self.fields.iter().map(|field| {
            let Field { name, is, wanted } = field;
            format!("`{name}` is {}, should be {}", text(is), text(wanted))
        });
        write!(f, "{}: {}", self.object, fields.collect::<Vec<_>>().join("; "))
    }
}

/// One file: what it declares, and of what.
#[derive(Debug, Clone, PartialEq)]
struct Object {
    /// The stream that a consumer belongs to; none for a stream.
    parent: Option<&'static str>,
    name: String,
    config: Map<String, Value>,
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parent {
            None => write!(f, "stream `{}`", self.name),
            Some(stream) => write!(f, "consumer `{}` of `{stream}`", self.name),
        }
    }
}

#[derive(Deserialize)]
struct Info {
    config: Map<String, Value>,
}

/// What differs from the files, the operator's choices aside. Empty if all is well.
pub async fn drift(bus: &Bus) -> Result<Vec<Change>, Error> {
    plan(bus, &Tunables::default()).await
}

/// What [`provision`] would do.
pub async fn plan(bus: &Bus, tunables: &Tunables) -> Result<Vec<Change>, Error> {
    let mut changes = Vec::new();
    for object in declared() {
        let failed = |source| Error::Provision { object: object.to_string(), source };
        let actual = object.read(bus).await.map_err(failed)?;
        let wanted = object.tuned(tunables, actual.as_ref());
        if wanted.is_replicated() && actual.as_ref().is_some_and(|actual| actual.contains_key(PERSIST_MODE)) {
            return Err(Error::MadeForOne(wanted.to_string()));
        }
        let fields = differences(actual.as_ref(), &wanted.config);
        if !fields.is_empty() {
            changes.push(Change { object: wanted, exists: actual.is_some(), fields });
        }
    }
    Ok(changes)
}

/// Creates what is absent and updates what differs; deletes nothing. Tells what it did.
pub async fn provision(bus: &Bus, tunables: &Tunables) -> Result<Vec<Change>, Error> {
    let changes = plan(bus, tunables).await?;
    for change in &changes {
        let failed = |source| Error::Provision { object: change.object.to_string(), source };
        change.object.write(bus, change.exists).await.map_err(failed)?;
    }
    Ok(changes)
}

fn declared() -> impl Iterator<Item = Object> {
    let streams = STREAMS.iter().map(|file| (None, file));
    let consumers = CONSUMERS.iter().map(|(stream, file)| (Some(*stream), file));
    streams.chain(consumers).map(|(parent, file)| {
        let config: Map<String, Value> = serde_json::from_str(file).expect("a test reads every file");
        let name = config["name"].as_str().expect("a test reads every file").to_owned();
        Object { parent, name, config }
    })
}

impl Object {
    async fn read(&self, bus: &Bus) -> Result<Option<Map<String, Value>>, Cause> {
        let info: Result<Info, Cause> = match self.parent {
            None => bus.ask(&format!("STREAM.INFO.{}", self.name), &json!({})).await,
            Some(stream) => bus.ask(&format!("CONSUMER.INFO.{stream}.{}", self.name), &json!({})).await,
        };
        match info {
            Ok(Info { mut config }) => {
                forget_what_says_nothing(&mut config);
                Ok(Some(config))
            }
            Err(Cause::Refused { code: STREAM_NOT_FOUND | CONSUMER_NOT_FOUND, .. }) => Ok(None),
            Err(cause) => Err(cause),
        }
    }

    async fn write(&self, bus: &Bus, exists: bool) -> Result<(), Cause> {
        let verb = if exists { "UPDATE" } else { "CREATE" };
        let name = &self.name;
        let written: Result<Value, Cause> = match self.parent {
            None => {
                let mut config = self.config.clone();
                if !exists && name == KV_JOBS {
                    config.insert(FIRST_SEQ.to_owned(), json!(unused_revision()));
                }
                bus.ask(&format!("STREAM.{verb}.{name}"), &config).await
            }
            Some(stream) => {
                let action = verb.to_lowercase();
                let body = json!({"stream_name": stream, "config": self.config, "action": action});
                bus.ask(&format!("CONSUMER.CREATE.{stream}.{name}"), &body).await
            }
        };
        written.map(|_| ())
    }

    /// With the operator's choices: those of now, else those that the server already has.
    fn tuned(mut self, tunables: &Tunables, actual: Option<&Map<String, Value>>) -> Self {
        for (field, chosen) in self.choices(tunables) {
            let kept = actual.and_then(|actual| actual.get(field).cloned());
            if let Some(value) = chosen.or(kept) {
                self.config.insert(field.to_owned(), value);
            }
        }
        // Settled when a stream is made: the server changes it no more, and knows it on one server only.
        let was_settled_otherwise = actual.is_some_and(|actual| !actual.contains_key(PERSIST_MODE));
        if was_settled_otherwise || self.is_replicated() {
            self.config.remove(PERSIST_MODE);
        }
        // So is where a bucket's revisions begin.
        if let Some(first) = actual.and_then(|actual| actual.get(FIRST_SEQ)).filter(|_| self.name == KV_JOBS) {
            self.config.insert(FIRST_SEQ.to_owned(), first.clone());
        }
        self
    }

    fn is_replicated(&self) -> bool {
        self.config.get("num_replicas").and_then(Value::as_u64) > Some(1)
    }

    /// The fields that are an operator's, with what was chosen now.
    fn choices(&self, tunables: &Tunables) -> Vec<(&'static str, Option<Value>)> {
        let age = tunables.max_age.map(|age| json!(u64::try_from(age.as_nanos()).unwrap_or(0)));
        match (self.parent, self.name.as_str()) {
            (Some(_), WORKER) => vec![("max_ack_pending", tunables.max_renders.map(|renders| json!(renders)))],
            (Some(_), _) => vec![("max_ack_pending", None)],
            (None, name) => vec![
                ("num_replicas", tunables.replicas.map(|replicas| json!(replicas))),
                ("max_age", age.filter(|_| name != RENDER_PROGRESS)),
                ("max_bytes", tunables.max_bytes.map(|bytes| json!(bytes)).filter(|_| name == RENDER)),
            ],
        }
    }
}

/// Greater than any revision of a bucket that was made before, which has fewer than one per microsecond: whoever replaces
/// a revision that it has read or written there never replaces another entry here.
fn unused_revision() -> u64 {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_micros();
    u64::try_from(now).unwrap_or_default()
}

/// The server's version and level, which it writes into every configuration, and a pause that never was: the zero time of
/// Go, which its clients send.
fn forget_what_says_nothing(config: &mut Map<String, Value>) {
    config.retain(|name, value| name != "pause_until" || value != "0001-01-01T00:00:00Z");
    let Some(Value::Object(metadata)) = config.get_mut("metadata") else { return };
    metadata.retain(|key, _| !key.starts_with("_nats."));
    if metadata.is_empty() {
        config.remove("metadata");
    }
}

fn differences(actual: Option<&Map<String, Value>>, wanted: &Map<String, Value>) -> Vec<Field> {
    let nothing = Map::new();
    let actual = actual.unwrap_or(&nothing);
    let extra = actual.keys().filter(|name| !wanted.contains_key(*name));
    let names = wanted.keys().chain(extra);
    let fields = names.map(|name| Field {
        name: name.clone(),
        is: actual.get(name).cloned(),
        wanted: wanted.get(name).cloned(),
    });
    fields.filter(|field| field.is != field.wanted).collect()
}
