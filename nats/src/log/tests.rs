//! Answers that leave open what happened.

use events::event::Cancelled;
use events::{Event, JobId};

use super::{Append, Log, is_open};
use crate::server::{Options, Server};
use crate::tool::NATS_SERVER;
use crate::topology::{Tunables, provision};
use crate::{Bus, Cause, Error, Settings};

fn refused(code: u64) -> Cause {
    Cause::Refused { code, status: 400, description: String::new() }
}

/// Everything after which nobody knows; only the leader of three servers gives some of these answers.
fn open() -> [Cause; 8] {
    let garbage = serde_json::from_str::<u64>("garbage").expect_err("it is none");
    let client = Cause::client(std::io::Error::other("it broke"));
    let codes = [10_071, 10_164, 10_158, 10_077].map(refused);
    let [first, second, third, fourth] = codes;
    [first, second, third, fourth, Cause::Timeout, Cause::Lost, Cause::Answer(garbage), client]
}

fn cancelled(reason: &str) -> Event {
    Event::Cancelled(Cancelled { reason: reason.into() })
}

#[tokio::test]
async fn after_every_answer_that_leaves_it_open_the_log_itself_says_whether_the_fact_is_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = NATS_SERVER.find(&|_| ()).expect("a nats-server");
    let server = Server::start(Options::new(program, folder.path())).await.expect("a server");
    let bus = Bus::connect(&Settings::new(server.url(), "api")).await.expect("connected");
    provision(&bus, &Tunables::default()).await.expect("provisioned");
    let log = Log::new(bus);
    let [there, empty] = [1, 2].map(|n| JobId::new(n, [0; 10]));
    assert_eq!(log.append(there, 0, &cancelled("ours")).await.expect("stored"), Append::Stored(1));
    for cause in open() {
        assert!(is_open(&cause), "{cause:?}");
        let is_refusal = matches!(cause, Cause::Refused { .. });
        let is_full = matches!(cause, Cause::Refused { code: 10_077, .. });
        let what = format!("{cause:?}");
        let found = log.look_for(empty, 0, &cancelled("ours"), cause).await;
        match found {
            Ok(Append::Conflict) => assert!(is_refusal && !is_full, "{what}"),
            Err(Error::Full) => assert!(is_full, "{what}"),
            Err(Error::Append(..)) => assert!(!is_refusal, "{what}: nobody refused it, and it may come yet"),
            found => panic!("{what}: {found:?}"),
        }
    }
    for (ours, theirs) in open().into_iter().zip(open()) {
        let what = format!("{ours:?}");
        let found = log.look_for(there, 0, &cancelled("ours"), ours).await.expect("an answer");
        assert_eq!(found, Append::Stored(1), "{what}");
        let found = log.look_for(there, 0, &cancelled("another"), theirs).await.expect("an answer");
        assert_eq!(found, Append::Conflict, "{what}: the subject is taken");
    }
    let known = log.look_for(there, 1, &cancelled("another"), refused(10_077)).await;
    assert!(matches!(known, Err(Error::Occupied(_))), "{known:?}");
    for definite in [refused(10_060), Cause::Disconnected, Cause::NoResponders, Cause::Unchecked] {
        assert!(!is_open(&definite), "{definite:?}: nothing was stored");
    }
}
