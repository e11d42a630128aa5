//! Several processes of the role, and what they depend on going away.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use events::{Attempt, Command, Timestamp};
use futures_util::StreamExt;
use futures_util::future::join_all;
use kiln::bucket::Bucket;
use serde_json::json;

use super::door::{Door, ROOT, call, claim_of, complete_with, failed, mint, told};
use crate::support::{nowhere, wait_for};

#[tokio::test]
async fn the_newest_task_counts_at_every_process() {
    let mut door = Door::new().await;
    let other = door.process(ROOT).await;
    let id = door.dispatch().await;
    let report = |task: &str| json!({"progress": 50, "taskId": task});
    assert_eq!(door.claim(&door.url, id, 1, &claim_of("fc-1", "ta-1")).await.0, 200);
    assert_eq!(door.progress(&other, id, 1, &report("ta-1")).await.0, 204);
    assert_eq!(door.claim(&other, id, 1, &claim_of("fc-1", "ta-2")).await.0, 200, "restarted with the same input");
    assert_eq!(door.progress(&other, id, 1, &report("ta-1")).await.0, 410);
    wait_for("the news at the first process", async || {
        (door.progress(&door.url, id, 1, &report("ta-1")).await.0 == 410).then_some(())
    })
    .await;
    let url = door.url.clone();
    let late = door.process(ROOT).await;
    for url in [&url, &other, &late] {
        assert_eq!(door.progress(url, id, 1, &report("ta-2")).await.0, 204);
        assert_eq!(door.progress(url, id, 1, &report("ta-1")).await.0, 410, "also where no claim was seen");
    }
    assert_eq!(door.claim(&other, id, 1, &claim_of("fc-1", "ta-1")).await.0, 410, "a replaced task stays replaced");
    assert_eq!(door.last_report(id).await.and_then(|report| report.task_id), Some("ta-2".into()));
}

#[tokio::test]
async fn a_cancelled_render_learns_so_from_its_next_report_and_reports_do_not_ask_the_log_each_time() {
    let door = Door::new().await;
    let id = door.dispatch().await;
    let questions = Arc::new(AtomicUsize::new(0));
    let mut asked = door.log.bus().client().subscribe("$JS.API.DIRECT.GET.>").await.expect("subscribed");
    // A question of the same connection: when it is answered, the subscription stands.
    door.log.load(id).await.expect("loaded");
    tokio::spawn({
        let questions = Arc::clone(&questions);
        async move {
            while asked.next().await.is_some() {
                questions.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    for percent in 0..99 {
        assert_eq!(door.progress(&door.url, id, 1, &json!({"progress": percent})).await.0, 204);
    }
    let asked =
        wait_for("a question", async || Some(questions.load(Ordering::Relaxed)).filter(|asked| *asked > 1)).await - 1;
    assert!((1..20).contains(&asked), "99 reports asked {asked} times");
    assert_eq!(door.record(id, Command::Cancel("a test".into())).await, None);
    wait_for("the end of the render", async || {
        (door.progress(&door.url, id, 1, &json!({"progress": 99})).await.0 == 410).then_some(())
    })
    .await;
    let asked = questions.load(Ordering::Relaxed);
    for _ in 0..50 {
        assert_eq!(door.progress(&door.url, id, 1, &json!({"progress": 99})).await.0, 410);
    }
    // One that was asked before may be counted only now.
    assert!(questions.load(Ordering::Relaxed) <= asked + 2, "an end is final, and needs no more questions");
}

#[tokio::test]
async fn one_job_s_flood_is_not_another_job_s_trouble() {
    let door = Door::new().await;
    let (noisy, quiet) = (door.dispatch().await, door.dispatch().await);
    let key = door.video(quiet).await;
    let report = json!({"progress": 50});
    let flood = join_all((0..400).map(|_| door.progress(&door.url, noisy, 1, &report)));
    let (flooded, ended) = tokio::join!(flood, async {
        let claimed = door.claim(&door.url, quiet, 1, &claim_of("fc-1", "ta-1")).await.0;
        let reported = door.progress(&door.url, quiet, 1, &report).await.0;
        (claimed, reported, door.report(&door.url, quiet, 1, &complete_with(quiet, &key)).await.0)
    });
    assert_eq!(ended, (200, 204, 200));
    assert!(flooded.iter().all(|(status, _)| [204, 429].contains(status)), "{flooded:?}");
    assert_eq!(door.report(&door.url, noisy, 1, &failed(noisy)).await.0, 200, "and its own end is heard");
}

#[tokio::test]
async fn nothing_is_confirmed_while_the_store_or_the_log_is_away() {
    let mut door = Door::new().await;
    let id = door.dispatch().await;
    let key = door.video(id).await;
    let config = kiln::config::Bucket { r2_endpoint: Some(nowhere().await), ..door.store.config.clone() };
    let without_store = door.process_with(ROOT, Bucket::new(&config).expect("a bucket")).await;
    let path = "/api/webhooks/worker";
    let post = reqwest::Method::POST;
    let (capability, body) = (super::door::right(id, 1), complete_with(id, &key));
    let away = door.send(&without_store, post.clone(), path, &capability, &body).await;
    assert!(away.headers().contains_key("retry-after"));
    assert_eq!(told(away).await.0, 503);
    assert_eq!(door.kinds(id).await, ["requested", "dispatched"]);
    door.nats.kill();
    let away = door.send(&door.url, post.clone(), path, &capability, &body).await;
    assert!(away.headers().contains_key("retry-after"));
    assert_eq!(told(away).await.0, 503);
    door.nats.restart().await.expect("it starts again");
    wait_for("the log", async || {
        (door.send(&door.url, post.clone(), path, &capability, &body).await.status() == 200).then_some(())
    })
    .await;
    assert_eq!(door.kinds(id).await, ["requested", "dispatched", "completed"]);
}

#[tokio::test]
async fn roots_are_rotated_while_renders_run() {
    let mut door = Door::new().await;
    let (old, new) = (ROOT, "fedcba9876543210fedcba9876543210");
    let both = door.process(&format!("2:{new},1:{old}")).await;
    let after = door.process(&format!("2:{new}")).await;
    let far = Timestamp::from_unix_ms(4_000_000_000_000);
    let id = door.dispatch().await;
    let (first, second) = (mint(old, id, 1, far), mint(&format!("2:{new}"), id, 1, far));
    let before = door.url.clone();
    let rows = [(&before, 204, 401), (&both, 204, 204), (&after, 401, 204)];
    let path = format!("/api/render/{id}");
    let reports = (0..20).flat_map(|_| &rows).map(|(url, of_first, of_second)| {
        let (door, path, first, second) = (&door, &path, &first, &second);
        async move {
            for (capability, expected) in [(first, of_first), (second, of_second)] {
                let told = door.send(url, reqwest::Method::PATCH, path, capability, &json!({"progress": 40})).await;
                assert_eq!(told.status().as_u16(), *expected);
            }
        }
    });
    futures_util::stream::iter(reports).buffer_unordered(4).collect::<()>().await;
    let second = Attempt::new(2).expect("an attempt");
    assert_eq!(door.report(&door.url, id, 1, &failed(id)).await.0, 200);
    assert_eq!(door.record(id, Command::Dispatch(second, call("fc-2"))).await, None);
}
