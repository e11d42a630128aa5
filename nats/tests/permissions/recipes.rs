//! What the recipes send, the operator may send.

use super::Wire;
use crate::recipes::book;
use crate::{World, job_id};

#[tokio::test]
async fn the_operator_may_do_all_that_the_recipes_do() {
    let world = World::secured().await;
    let mut wire = Wire::login(&world, "operator").await;
    let job = job_id(1).to_string();
    let mut sent = 0;
    for block in book::titles().into_iter().flat_map(book::blocks_of) {
        let subject = block.text.lines().next().expect("a subject").replace("$JOB", &job).replace("$NEW", &job);
        let command = match block.tag {
            // A wildcard is a filter there, and the server is strict with those who say nothing about it.
            tag if tag.starts_with("nats-request") => format!("PUB {} 0\r\n", subject.replace(['*', '>'], "any")),
            // An inbox is below the prefix of whoever asks.
            "nats-subscribe" if !subject.starts_with("_INBOX.") => format!("SUB {subject} 1"),
            _ => continue,
        };
        assert_eq!(wire.say(&command).await, Vec::<String>::new(), "{command}");
        sent += 1;
    }
    assert!(sent > 40, "{sent}");
}
