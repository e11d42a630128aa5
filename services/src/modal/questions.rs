//! Many shepherds ask about their calls at the same moment, after an outage above all: they share requests.
//!
//! There is no task behind it. Whoever asks first waits a moment for others and sends for all of them; if that one is
//! dropped, the others hear that there was no answer, and ask again in their own time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use events::wire::dispatch::{CallState, StatusAnswer, StatusBody};
use tokio::sync::oneshot;

/// How long the first one waits for others.
const GATHER: Duration = Duration::from_millis(20);
/// Calls in one request, as the contract says.
const MAX_CALLS: usize = 100;

/// Those who want to know, and about which call.
type Asking = Vec<(String, oneshot::Sender<Option<CallState>>)>;

/// Questions that were not sent yet.
#[derive(Clone, Default)]
pub(super) struct Questions(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    asking: Asking,
    is_led: bool,
}

/// Whoever sends for the others. Without it nobody may wait.
struct Lead<'a> {
    questions: &'a Questions,
    is_over: bool,
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            let mut waiting = self.questions.lock();
            waiting.is_led = false;
            waiting.asking.clear();
        }
    }
}

impl Lead<'_> {
    /// The next hundred; the last look and the end of the lead are one, so that nobody waits unseen.
    fn next(&mut self) -> Option<Asking> {
        let mut waiting = self.questions.lock();
        let count = waiting.asking.len().min(MAX_CALLS);
        if count == 0 {
            waiting.is_led = false;
            self.is_over = true;
            return None;
        }
        Some(waiting.asking.drain(..count).collect())
    }
}

impl Questions {
    /// What became of a call; `None` if nobody answered. `send` asks about up to a hundred calls.
    pub(super) async fn ask<F>(&self, call: &str, send: impl Fn(StatusBody) -> F) -> Option<CallState>
    where
        F: Future<Output = Option<StatusAnswer>>,
    {
        let (sender, answer) = oneshot::channel();
        let leads = {
            let mut waiting = self.lock();
            waiting.asking.push((call.to_owned(), sender));
            !std::mem::replace(&mut waiting.is_led, true)
        };
        if leads {
            let mut lead = Lead { questions: self, is_over: false };
            tokio::time::sleep(GATHER).await;
            while let Some(asking) = lead.next() {
                let mut call_ids: Vec<String> = asking.iter().map(|(call, _)| call.clone()).collect();
                call_ids.sort_unstable();
                call_ids.dedup();
                let told = send(StatusBody { call_ids }).await.map(|answer| answer.calls).unwrap_or_default();
                tell(asking, &told);
            }
        }
        answer.await.ok().flatten()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }
}

fn tell(asking: Asking, told: &BTreeMap<String, CallState>) {
    for (call, sender) in asking {
        // One that does not wait any more needs no answer.
        let _ = sender.send(told.get(&call).cloned());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use events::wire::dispatch::CallStatus;
    use futures_util::future::join_all;

    use super::*;

    fn running(body: &StatusBody) -> StatusAnswer {
        let state = || CallState { status: CallStatus::Running, result: None, error: None };
        StatusAnswer { calls: body.call_ids.iter().map(|call| (call.clone(), state())).collect() }
    }

    #[tokio::test]
    async fn many_questions_are_few_requests_and_each_gets_its_own_answer() {
        let (questions, sent) = (Questions::default(), AtomicUsize::new(0));
        let calls: Vec<String> = (0..250).map(|n| format!("fc-{n}")).collect();
        let send = async |body: StatusBody| {
            sent.fetch_add(1, Ordering::Relaxed);
            assert!(body.call_ids.len() <= MAX_CALLS);
            let is_known = |call: &String| call != "fc-7";
            Some(running(&StatusBody { call_ids: body.call_ids.into_iter().filter(is_known).collect() }))
        };
        let told = join_all(calls.iter().map(|call| questions.ask(call, send))).await;
        assert_eq!(told.iter().filter(|told| told.is_none()).count(), 1, "the app did not tell of fc-7");
        assert_eq!(sent.load(Ordering::Relaxed), 3);
        assert!(questions.ask("fc-0", send).await.is_some(), "and again");
    }

    #[tokio::test]
    async fn whoever_waits_for_one_that_is_gone_hears_so() {
        let questions = Questions::default();
        let never = async |_: StatusBody| std::future::pending::<Option<StatusAnswer>>().await;
        let mut first = Box::pin(questions.ask("fc-1", never));
        let second = questions.ask("fc-2", async |body: StatusBody| Some(running(&body)));
        assert!(futures_util::poll!(first.as_mut()).is_pending());
        let mut second = Box::pin(second);
        assert!(futures_util::poll!(second.as_mut()).is_pending());
        drop(first);
        assert!(second.await.is_none());
        assert!(questions.ask("fc-2", async |body: StatusBody| Some(running(&body))).await.is_some());
    }
}
