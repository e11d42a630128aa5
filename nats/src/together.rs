//! Questions for single entries, asked together: what comes while others are under way is one request.
//!
//! An answer to a request of its own costs nats-server about half as much again as one among many.

use std::collections::HashMap;

use events::JobId;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};

use crate::jobs::subject;
use crate::stored::{Stored, last, last_of_each};
use crate::topology::KV_JOBS;
use crate::{Bus, Cause};

/// Requests that are under way at once. Who asks meanwhile waits for one of them, and shares the next.
const UNDER_WAY: usize = 2;
/// Entries that one request asks for; the server itself answers up to 1024.
const MANY: usize = 64;

/// Asks until every clone is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Together(mpsc::UnboundedSender<Question>);

#[derive(Debug)]
struct Question {
    id: JobId,
    answer: Answer,
}

type Answer = oneshot::Sender<Result<Option<Stored>, Cause>>;

impl Together {
    /// Must be called within a runtime.
    pub(crate) fn new(bus: Bus) -> Self {
        let (sender, questions) = mpsc::unbounded_channel();
        tokio::spawn(ask_all(bus, questions));
        Self(sender)
    }

    /// The job's entry, as some replica knows it.
    pub(crate) async fn ask(&self, id: JobId) -> Result<Option<Stored>, Cause> {
        let (answer, answered) = oneshot::channel();
        // Nobody listens only when the runtime ends.
        self.0.send(Question { id, answer }).map_err(|_| Cause::Disconnected)?;
        answered.await.unwrap_or(Err(Cause::Disconnected))
    }
}

async fn ask_all(bus: Bus, mut questions: mpsc::UnboundedReceiver<Question>) {
    let (mut under_way, mut asked) = (FuturesUnordered::new(), Vec::new());
    loop {
        tokio::select! {
            count = questions.recv_many(&mut asked, MANY), if under_way.len() < UNDER_WAY => match count {
                0 => return,
                _ => under_way.push(ask(&bus, std::mem::take(&mut asked))),
            },
            Some(()) = under_way.next() => {}
        }
    }
}

/// By one request; each is told, whatever comes of it.
async fn ask(bus: &Bus, questions: Vec<Question>) {
    let mut waiting: HashMap<String, Vec<Answer>> = HashMap::new();
    for Question { id, answer } in questions {
        waiting.entry(subject(id)).or_default().push(answer);
    }
    let subjects: Vec<_> = waiting.keys().cloned().collect();
    let found = match subjects.as_slice() {
        [one] => last(bus, KV_JOBS, one).await.map(|found| found.into_iter().collect()),
        many => last_of_each(bus, KV_JOBS, many).await,
    };
    let mut tell = |subject: &str, told: Result<Option<Stored>, Cause>| {
        for answer in waiting.remove(subject).into_iter().flatten() {
            // Whoever asked may have gone.
            let _ = answer.send(told.clone());
        }
    };
    let others = match found {
        Ok(found) => {
            for stored in found {
                tell(&stored.subject.clone(), Ok(Some(stored)));
            }
            Ok(None)
        }
        Err(cause) => Err(cause),
    };
    for subject in &subjects {
        tell(subject, others.clone());
    }
}
