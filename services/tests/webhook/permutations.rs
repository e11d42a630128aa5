//! Every order of what can happen to a job at this door, against the rules alone.

use events::event::{Output, Started};
use events::{Attempt, Command, Failure, Job, JobId, Recorded, Rejection, Timestamp, decide};
use futures_util::StreamExt;
use serde_json::json;

use super::door::{Door, MP4, claim_of, complete_with, failed};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Happening {
    Claim,
    Progress,
    Complete,
    Failed,
    Cancel,
}
use Happening::{Cancel, Claim, Complete, Failed, Progress};

fn orders(rest: &[Happening]) -> Vec<Vec<Happening>> {
    if rest.is_empty() {
        return vec![Vec::new()];
    }
    let with_first = |index: usize| {
        let mut others = rest.to_vec();
        let first = others.remove(index);
        orders(&others).into_iter().map(move |order| [vec![first], order].concat())
    };
    (0..rest.len()).flat_map(with_first).collect()
}

impl Happening {
    /// What the rules are asked; progress is no fact.
    fn command(self, id: JobId) -> Option<Command> {
        let n = Attempt::FIRST;
        Some(match self {
            Claim => Command::Claim(n, Started { call_id: "fc-1".into(), input_id: "in-1".into() }),
            Complete => Command::Complete(n, Output::video(events::key::output(id, n), MP4.len() as u64)),
            Failed => Command::FailAttempt(n, Failure::from_report(None, Some("the encoder fell over"), Some(true))),
            Cancel => Command::Cancel("a test".into()),
            Progress => return None,
        })
    }

    /// What the container is told where the rules say this.
    fn expected(self, job: &Job, said: Option<&Rejection>) -> u16 {
        let is_over = job.ended.is_some() || job.current_attempt() != Attempt::FIRST;
        match (self, said) {
            (Progress, _) if is_over => 410,
            (Progress, _) => 204,
            (Claim, Some(Rejection::Ended(_))) | (_, Some(Rejection::Over)) => 410,
            (Failed | Complete, Some(Rejection::Ended(_))) => 409,
            (Cancel, _) | (_, None | Some(Rejection::AlreadyKnown)) => 200,
            (_, Some(other)) => panic!("{other}"),
        }
    }
}

/// Lets one order happen; the statuses that were told are compared with the rules as it goes. Comes back with both jobs.
async fn live(door: &Door, id: JobId, order: &[Happening]) -> (Job, Job) {
    let mut model = Job::default();
    for recorded in door.log.history(id).await.expect("a history") {
        model.absorb(&recorded);
    }
    for happening in order {
        let said = happening.command(id).map(|command| decide(&model, command));
        let expected = happening.expected(&model, said.as_ref().and_then(|said| said.as_ref().err()));
        let (status, body) = match happening {
            Claim => door.claim(&door.url, id, 1, &claim_of("fc-1", "ta-1")).await,
            Progress => door.progress(&door.url, id, 1, &json!({"progress": 50, "currentStage": "rendering"})).await,
            Complete => {
                let key = events::key::output(id, Attempt::FIRST);
                door.report(&door.url, id, 1, &complete_with(id, &key)).await
            }
            Failed => door.report(&door.url, id, 1, &failed(id)).await,
            Cancel => {
                door.record(id, Command::Cancel("a test".into())).await;
                (200, json!(null))
            }
        };
        assert_eq!(status, expected, "{happening:?} of {order:?}: {body}");
        if let Some(Ok(event)) = said {
            model.absorb(&Recorded { seq: model.seq + 1, time: Timestamp::from_unix_ms(0), event });
        }
    }
    (model, door.load(id).await)
}

fn facts(job: &Job) -> (events::Status, Attempt, bool, Option<Failure>) {
    let is_failed = job.facts(Attempt::FIRST).is_some_and(|facts| facts.failed.is_some());
    (job.status(), job.current_attempt(), is_failed, job.failure())
}

#[tokio::test]
async fn every_order_of_claim_progress_end_and_cancel_gives_what_the_rules_say() {
    let door = Door::new().await;
    let all: Vec<(bool, Vec<Happening>)> = [true, false]
        .into_iter()
        .flat_map(|is_dispatched| {
            orders(&[Claim, Progress, Complete, Failed, Cancel]).into_iter().map(move |order| (is_dispatched, order))
        })
        .collect();
    assert_eq!(all.len(), 240, "120 orders, with the dispatch known before and without");
    let happenings = all.into_iter().map(|(is_dispatched, order)| {
        let door = &door;
        async move {
            let id = if is_dispatched { door.dispatch().await } else { door.request().await };
            door.video(id).await;
            let (model, job) = live(door, id, &order).await;
            assert_eq!(facts(&job), facts(&model), "{order:?}");
            let entry = door.entry(id).await;
            assert_eq!((entry.status, &entry.job.ended), (job.status(), &job.ended), "{order:?}");
            job.status()
        }
    });
    let mut ends = std::collections::BTreeMap::new();
    let mut lives = futures_util::stream::iter(happenings).buffer_unordered(16);
    while let Some(status) = lives.next().await {
        *ends.entry(status).or_insert(0_usize) += 1;
    }
    // Of complete and cancel the first one wins; a failed attempt is no end.
    assert_eq!(
        ends.into_iter().collect::<Vec<_>>(),
        [(events::Status::Complete, 120), (events::Status::Cancelled, 120)]
    );
}
