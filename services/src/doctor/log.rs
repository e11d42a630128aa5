//! Whether the servers keep what they are given.

use std::time::Duration;

use events::Timestamp;
use nats::inspect::{self, Room};
use nats::{Bus, tool, topology};
use serde::Deserialize;

use super::Finding;
use crate::{client, clock, config};

/// How long the monitoring port may take.
const MONITOR_LIMIT: Duration = Duration::from_secs(3);
/// From here on signed addresses and deadlines are off by something that people see.
const OFFSET_WARNING: Duration = Duration::from_secs(2);
/// From here on stores refuse signatures soon.
const OFFSET_WRONG: Duration = Duration::from_mins(1);

/// Everything that a start looks at.
pub(super) async fn findings(nats: &config::Nats, bus: &Bus) -> Vec<Finding> {
    let mut found = versions(nats, bus).await;
    let room = match inspect::room(bus).await {
        Ok(room) => room,
        Err(error) => {
            let mend = "is JetStream on, and may this user ask for `$JS.API.STREAM.INFO.RENDER` and `$JS.API.INFO`?";
            found.push(Finding::wrong("jetstream", crate::chain(&error), mend));
            return found;
        }
    };
    let monitor = monitor(nats).await;
    found.push(sync(nats, monitor.as_ref(), room.as_ref()));
    found.extend(settings(bus).await);
    found.extend(room.as_ref().map(|room| space(room, monitor.as_ref().ok())));
    found.extend(room.and_then(|room| room.server_time).map(|time| clock_offset("clock", "NATS", time)));
    found
}

/// What this user may and may not do.
pub(super) async fn rights(bus: &Bus, role: &str) -> Finding {
    let user = match inspect::User::ask(bus).await {
        Ok(user) => user,
        Err(error) => {
            let mend = "let this user publish to `$SYS.REQ.USER.INFO`";
            return Finding::warning("rights", format!("not known: {}", crate::chain(&error)), mend);
        }
    };
    let (lacks, destroys) = (user.lacks(role), user.may_destroy());
    if !lacks.is_empty() {
        let message = format!("`{}` may not use `{}`, which {role} needs", user.name, lacks.join("`, `"));
        return Finding::wrong(
            "rights",
            message,
            "give the user the rights of its role, as in `nats/server/auth.conf`",
        );
    }
    if user.may_everything() {
        let mend = "give each role a user of its own, as in `nats/server/auth.conf`";
        return Finding::warning("rights", "nothing is forbidden to this user, deleting the log neither", mend);
    }
    if !destroys.is_empty() {
        let message = format!("`{}` may send `{}`", user.name, destroys.join("`, `"));
        return Finding::warning("rights", message, "take that right away: nobody needs it");
    }
    Finding::ok("rights", format!("`{}` may do what {role} needs, and may not delete or purge the log", user.name))
}

async fn versions(nats: &config::Nats, bus: &Bus) -> Vec<Finding> {
    let oldest = tool::NATS_SERVER.minimum;
    let mut found = Vec::new();
    let mut is_open = false;
    for address in inspect::known_servers(bus, &nats.nats_url) {
        let greeting = match inspect::greet(&address).await {
            Ok(greeting) => greeting,
            Err(problem) => {
                let message = format!("{address} is not there: {problem}");
                found.push(Finding::warning("server", message, "start it, or take it out of `NATS_URL`"));
                continue;
            }
        };
        is_open |= !greeting.auth_required;
        found.push(match greeting.version() {
            Some(version) if version >= oldest => Finding::ok("server", format!("{address} is nats-server {version}")),
            Some(version) => {
                let message =
                    format!("{address} is nats-server {version}, which can lose messages that it acknowledged");
                Finding::wrong("server", message, format!("update it to {oldest} or newer")).dangerous()
            }
            None => Finding::warning("server", format!("{address} does not tell its version"), "look at it"),
        });
    }
    found.push(if is_open {
        let mend = "use `nats/server/auth.conf`";
        Finding::warning("login", "whoever reaches the port of NATS may do everything", mend)
    } else {
        Finding::ok("login", "NATS asks who one is")
    });
    found
}

/// The part of `/varz` that matters.
#[derive(Deserialize)]
pub(super) struct Monitor {
    jetstream: Jetstream,
}

#[derive(Deserialize)]
struct Jetstream {
    config: Option<Store>,
}

#[derive(Deserialize)]
struct Store {
    #[serde(default)]
    max_storage: u64,
    #[serde(default)]
    sync_always: bool,
    #[serde(default)]
    sync_interval: u64,
}

/// Why the monitoring port told nothing.
enum Blind {
    Unset,
    Silent(String),
}

async fn monitor(nats: &config::Nats) -> Result<Monitor, Blind> {
    let base = nats.nats_monitor_url.as_deref().ok_or(Blind::Unset)?.trim_end_matches('/');
    let http = client::http_client(MONITOR_LIMIT);
    // The text of such an error names the address, which may hold a password.
    let silent = |error: reqwest::Error| Blind::Silent(error.without_url().to_string());
    let answer = http.get(format!("{base}/varz")).timeout(MONITOR_LIMIT).send().await.map_err(silent)?;
    answer.json().await.map_err(silent)
}

fn sync(nats: &config::Nats, monitor: Result<&Monitor, &Blind>, room: Option<&Room>) -> Finding {
    const MEND: &str = "set `NATS_MONITOR_URL` to a server's monitoring port (`http: 8222` in its configuration)";
    let copies = room.map_or(1, |room| room.replicas);
    let config = monitor.ok().and_then(|monitor| monitor.jetstream.config.as_ref());
    match (config, monitor) {
        (Some(Store { sync_always: true, .. }), _) => {
            Finding::ok("sync", "a message is on the disk before it is acknowledged")
        }
        _ if copies >= 3 => Finding::ok("sync", format!("{copies} servers keep a copy of the log")),
        (Some(store), _) => {
            let seconds = store.sync_interval / 1_000_000_000;
            let message = format!(
                "the log has one copy, and up to {seconds} s of acknowledged messages are gone after a power loss: \
                 `sync_interval` is not `always`"
            );
            let mend =
                "set `jetstream { sync_interval: always }`, or run three servers and `kiln provision --replicas 3`";
            Finding::wrong("sync", message, mend).dangerous()
        }
        (None, Err(Blind::Silent(problem))) => {
            let url = "the monitoring port";
            Finding::warning("sync", format!("not known: {url} does not answer as it should: {problem}"), MEND)
        }
        (None, _) if nats.nats_monitor_url.is_some() => {
            Finding::warning("sync", "not known: the server at `NATS_MONITOR_URL` has no JetStream", MEND)
        }
        (None, _) => {
            Finding::warning("sync", "not known: whether a server syncs shows on its monitoring port alone", MEND)
        }
    }
}

async fn settings(bus: &Bus) -> Vec<Finding> {
    let changes = match topology::drift(bus).await {
        Ok(changes) => changes,
        Err(error) => return vec![Finding::wrong("topology", crate::chain(&error), "let this user ask for it")],
    };
    if changes.is_empty() {
        return vec![Finding::ok("topology", "streams, consumers and the bucket of entries are as declared")];
    }
    let finding = |change: &topology::Change| {
        let finding = Finding::wrong("topology", change.to_string(), "run `kiln provision`");
        if change.is_dangerous() { finding.dangerous() } else { finding }
    };
    changes.iter().map(finding).collect()
}

fn space(room: &Room, monitor: Option<&Monitor>) -> Finding {
    let store = monitor.and_then(|monitor| monitor.jetstream.config.as_ref()).map(|store| store.max_storage);
    let limit = room.account_bytes.into_iter().chain(store).min();
    match (room.max_bytes, limit) {
        (Some(log), Some(limit)) if log > limit => Finding::wrong(
            "space",
            format!("the log may grow to {}, and there is room for {}", gib(log), gib(limit)),
            "raise `max_file_store` below the size of the disk, or lower `kiln provision --max-bytes`",
        ),
        (Some(log), _) => Finding::ok("space", format!("the log may grow to {}", gib(log))),
        (None, Some(limit)) => {
            Finding::ok("space", format!("the log may grow as far as the store does, to {}", gib(limit)))
        }
        (None, None) => Finding::ok("space", "the log may grow as far as the store does"),
    }
}

fn gib(bytes: u64) -> String {
    let tenths = bytes / (1 << 30) * 10 + bytes % (1 << 30) * 10 / (1 << 30);
    format!("{}.{} GiB", tenths / 10, tenths % 10)
}

/// Compares somebody's clock, as it was a moment ago, with ours.
pub(super) fn clock_offset(check: &'static str, whose: &str, theirs: Timestamp) -> Finding {
    let ours = clock::now();
    let offset = ours.since(theirs).max(theirs.since(ours));
    let message =
        format!("the clock of {whose} and ours are {}.{:01} s apart", offset.as_secs(), offset.subsec_millis() / 100);
    let mend = "let a time service (NTP) run on both machines";
    match offset {
        offset if offset > OFFSET_WRONG => Finding::wrong(check, message, mend),
        offset if offset > OFFSET_WARNING => Finding::warning(check, message, mend),
        _ => Finding::ok(check, message),
    }
}
