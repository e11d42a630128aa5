//! How each part is, in a word and a sentence.

use std::time::{Duration, Instant};

use events::clean;
use events::wire::operator::{Condition, Part, Queue};
use nats::Reader;
use nats::topology::{PROJECTOR, RENDER, WORKER};
use tokio::time::{sleep, timeout};

use crate::api::Api;
use crate::fence;

/// How old the store's last answer may be.
const FRESH: Duration = Duration::from_secs(10);
/// How long the store may take.
const STORE_LIMIT: Duration = Duration::from_secs(3);
/// How long the log's server may take, connecting anew included.
const LOG_LIMIT: Duration = Duration::from_secs(4);
/// Nobody asks for messages between two requests for them; a moment later somebody does again.
const SECOND_LOOK: Duration = Duration::from_millis(200);
/// More than a busy projector has before it at once.
const FAR_BEHIND: u64 = 10_000;

/// The GPU provider, as the jobs tell that wait for it.
pub(super) fn provider(queue: &Queue) -> Part {
    let (refused, taken) = (queue.waiting_for.modal, queue.in_flight);
    let (status, detail) = match (refused, taken) {
        (0, 0) => (Condition::Unknown, "no job is with Modal now".to_owned()),
        (0, taken) => (Condition::Ok, format!("{} with Modal", jobs(taken))),
        (refused, 0) => (
            Condition::Down,
            format!("{} for Modal, which takes none: it refuses us, or does not answer", wait(refused)),
        ),
        (refused, taken) => (
            Condition::Degraded,
            format!("{} with Modal, and {} for it: it takes no more now", jobs(taken), wait(refused)),
        ),
    };
    part("provider", status, detail)
}

impl Api {
    pub(super) async fn log_part(&self) -> Part {
        let bus = self.log.bus();
        let (status, detail) = if !bus.is_connected() {
            (Condition::Down, "NATS cannot be reached".to_owned())
        } else if let Some(reason) = bus.refusal() {
            (Condition::Down, clean(&format!("nothing is written: {reason}"), 500))
        } else {
            match timeout(LOG_LIMIT, self.log.room()).await {
                Ok(Ok(room)) if room.is_scarce() => {
                    (Condition::Degraded, "the log is nearly full: accepted jobs go on, and no new one is taken".into())
                }
                Ok(Ok(_)) => (Condition::Ok, "the log is written and has room".into()),
                Ok(Err(_)) | Err(_) => (Condition::Down, "NATS does not tell of the log".into()),
            }
        };
        part("log", status, detail)
    }

    /// Asks for an object that may or may not be there; one caller asks, the others wait for its answer.
    pub(super) async fn store_part(&self) -> Part {
        let mut seen = self.store_seen.lock().await;
        let answers = match *seen {
            Some((at, answers)) if at.elapsed() < FRESH => answers,
            _ => {
                let asked = timeout(STORE_LIMIT, self.bucket.head(fence::KEY)).await;
                if let Ok(Err(error)) = &asked {
                    tracing::warn!(error = crate::chain(error), "the store does not answer as it should");
                }
                let answers = matches!(asked, Ok(Ok(_)));
                *seen = Some((Instant::now(), answers));
                answers
            }
        };
        let (status, detail) = if answers {
            (Condition::Ok, "the bucket answers")
        } else {
            (Condition::Down, "the bucket does not answer")
        };
        part("store", status, detail)
    }

    pub(super) async fn projection_part(&self) -> Part {
        let (status, detail) = match self.reader(PROJECTOR).await {
            _ if !self.watch.is_caught_up() => {
                (Condition::Degraded, "which jobs there are is still being read; the counts are not whole yet".into())
            }
            Seen::Nothing => (Condition::Unknown, "NATS does not tell".into()),
            Seen::NoConsumer => (Condition::Down, "its consumer is missing: run `kiln provision`".into()),
            Seen::Reader(reader) => behind(reader),
        };
        part("projection", status, detail)
    }

    pub(super) async fn workers_part(&self, waiting: u64) -> Part {
        let (status, detail) = match self.reader(WORKER).await {
            Seen::Nothing => (Condition::Unknown, "NATS does not tell".into()),
            Seen::NoConsumer => (Condition::Down, "their consumer is missing: run `kiln provision`".into()),
            Seen::Reader(Reader { asking: 0, held: 0, .. }) if waiting == 0 => {
                (Condition::Degraded, "no worker asks for jobs".into())
            }
            Seen::Reader(Reader { asking: 0, held: 0, .. }) => {
                (Condition::Down, format!("no worker asks for jobs, and {}", wait(waiting)))
            }
            Seen::Reader(Reader { asking: 0, held, .. }) => (
                Condition::Degraded,
                format!("no worker asks for more; {} held by workers that are full or gone", jobs(held)),
            ),
            Seen::Reader(Reader { held, .. }) => {
                (Condition::Ok, format!("a worker asks for jobs; {} held", jobs(held)))
            }
        };
        part("workers", status, detail)
    }

    /// A consumer of the log; looked at twice if nobody reads it at first sight.
    async fn reader(&self, consumer: &str) -> Seen {
        let bus = self.log.bus();
        if !bus.is_connected() {
            return Seen::Nothing;
        }
        let look = async || timeout(LOG_LIMIT, Reader::ask(bus, RENDER, consumer)).await;
        let mut seen = look().await;
        if matches!(seen, Ok(Ok(Some(Reader { asking: 0, .. })))) {
            sleep(SECOND_LOOK).await;
            seen = look().await;
        }
        match seen {
            Ok(Ok(Some(reader))) => Seen::Reader(reader),
            Ok(Ok(None)) => Seen::NoConsumer,
            Ok(Err(_)) | Err(_) => Seen::Nothing,
        }
    }
}

/// The projection, as its consumer tells.
fn behind(reader: Reader) -> (Condition, String) {
    let events = match reader.left + reader.held {
        0 => {
            return match reader.asking {
                0 => (Condition::Degraded, "no projector reads the log".into()),
                _ => (Condition::Ok, "the entries are up to date".into()),
            };
        }
        1 => "1 event".to_owned(),
        events => format!("{events} events"),
    };
    if reader.asking == 0 {
        return (Condition::Degraded, format!("no projector reads the log, which is {events} ahead of the entries"));
    }
    let is_far = reader.left + reader.held > FAR_BEHIND;
    (if is_far { Condition::Degraded } else { Condition::Ok }, format!("the entries are {events} behind the log"))
}

enum Seen {
    Reader(Reader),
    NoConsumer,
    Nothing,
}

fn part(name: &str, status: Condition, detail: impl Into<String>) -> Part {
    Part { name: name.into(), status, detail: detail.into() }
}

fn jobs(count: u64) -> String {
    if count == 1 { "1 job is".into() } else { format!("{count} jobs are") }
}

fn wait(count: u64) -> String {
    if count == 1 { "1 job waits".into() } else { format!("{count} jobs wait") }
}
