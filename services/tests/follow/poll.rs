//! Polls and long polls.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use events::{JobId, Status, Timestamp};
use nats::Jobs;
use serde_json::{Value, json};

use super::desk::{Desk, Office, assert_not_older, cancelled, job_id, life, requested, time};
use crate::support::{wait_for, within};

#[tokio::test]
async fn a_poll_tells_everything_and_304_lasts_until_there_is_news() {
    let mut desk = Desk::start().await;
    let (api, other) = (desk.api().await, desk.api().await);
    let _projector = desk.projector();
    for n in 1..=3 {
        desk.live(job_id(n), &[requested()]).await;
    }
    let id = job_id(3);
    let first = api.wait_for(id, |body| body["queuePosition"] == 3).await;
    assert_eq!((first.header("retry-after"), first.header("cache-control")), (Some("2"), Some("private, no-cache")));
    assert_eq!((&first.body["waitingFor"], &first.body["metadata"]), (&"slot".into(), &json!({"mine": 1})));
    let same = api.poll_after(id, &first.etag).await;
    assert_eq!((same.status, &same.etag, same.body), (304, &first.etag, Value::Null));
    for seen in [format!("\"x\", W/{}", first.etag), "*".into()] {
        assert_eq!(api.poll_after(id, &seen).await.status, 304, "{seen}");
    }
    for strange in ["", "x", "\"1.2.3-4\"", "\"99999999999999999999.0.0.0-0\"", "\"7.101.0.0-0\"", "\"1.0.-5.0-0\""] {
        let answer = api.poll_after(id, strange).await;
        assert_eq!((answer.status, answer.etag), (200, first.etag.clone()), "{strange}");
    }
    wait_for("the other api", async || (other.poll_after(id, &first.etag).await.status == 304).then_some(())).await;

    desk.live(job_id(1), &[cancelled()]).await;
    let moved = api.wait_for(id, |body| body["queuePosition"] == 2).await;
    assert_eq!(api.poll_after(id, &first.etag).await.etag, moved.etag, "the place is news");
    desk.live(id, &life(id)[1..]).await;
    let done = api.wait_for(id, |body| body["status"] == "complete").await;
    assert_eq!((done.header("retry-after"), &done.body["queuePosition"]), (None, &Value::Null));
    assert_eq!(api.poll_after(id, &first.etag).await.body, done.body);
    assert_eq!(api.poll_after(id, &done.etag).await.status, 304);
    assert_eq!(api.poll(job_id(4), &[]).await.status, 404);
}

#[tokio::test]
async fn the_original_s_form_differs_in_the_error_alone_and_has_names_of_its_own() {
    let mut desk = Desk::start().await;
    let api = desk.api().await;
    let id = job_id(1);
    let failure = json!({"failure": {"code": "audio_missing", "message": "it is not there", "retryable": false}});
    let failed = events::Event::Failed(serde_json::from_value(failure).expect("a failure"));
    desk.live(id, &[requested(), failed]).await;
    let (ours, original) = (api.poll(id, &[]).await, api.get(&format!("/api/audio/jobs/{id}"), &[]).await);
    assert_eq!(
        (&ours.body["error"]["message"], &original.body["error"]),
        (&"it is not there".into(), &"it is not there".into())
    );
    let mut rest = ours.body.clone();
    rest["error"] = "it is not there".into();
    assert_eq!(rest, original.body);
    assert_ne!(ours.etag, original.etag);
    let again = api.get(&format!("/api/audio/jobs/{id}"), &[("if-none-match", &original.etag)]).await;
    assert_eq!(again.status, 304);
}

/// A day in milliseconds.
const DAY: i64 = 24 * 60 * 60 * 1000;
static NOW: AtomicI64 = AtomicI64::new(20_000 * DAY + DAY / 2);

#[tokio::test]
async fn a_304_never_outlives_the_day_of_signing_and_an_address_lasts_for_six_days_more() {
    let mut desk = Desk::start().await;
    let clock = || Timestamp::from_unix_ms(NOW.load(Ordering::Relaxed));
    let (api, other) = (
        desk.api_with(true, |api| api.with_clock(clock)).await,
        desk.api_with(true, |api| api.with_clock(clock)).await,
    );
    let _projector = desk.projector();
    let id = job_id(1);
    desk.live(id, &life(id)).await;
    let first = api.wait_for(id, |body| body["status"] == "complete").await;
    let url = first.body["downloadUrl"].as_str().expect("an address").to_owned();
    assert!(url.contains(&format!("renders/{id}/output.mp4")) && url.contains("X-Amz-Expires=604800"));
    NOW.fetch_add(DAY / 2 - 1, Ordering::Relaxed);
    for api in [&api, &other] {
        wait_for("the same answer", async || (api.poll_after(id, &first.etag).await.status == 304).then_some(())).await;
    }
    let left = time(&first.body["downloadUrlExpiresAt"]).since(clock());
    assert!(left >= Duration::from_hours(6 * 24), "{left:?}");
    NOW.fetch_add(1, Ordering::Relaxed);
    let second = api.poll_after(id, &first.etag).await;
    assert_eq!(second.status, 200);
    assert_ne!(second.body["downloadUrl"], url.as_str());
    assert_eq!(
        time(&second.body["downloadUrlExpiresAt"]),
        time(&first.body["downloadUrlExpiresAt"]) + Duration::from_hours(24)
    );
    assert_eq!(api.poll_after(id, &second.etag).await.status, 304);
}

#[tokio::test]
async fn what_a_client_saw_is_never_taken_back_though_the_bucket_lags_or_is_gone() {
    let mut desk = Desk::start().await;
    let (api, other) = (desk.api().await, desk.api().await);
    let id = job_id(1);
    desk.live(id, &life(id)[..1]).await;
    assert_eq!(api.poll(id, &[]).await.body["status"], "pending", "there is no entry yet");

    let projector = desk.projector();
    desk.live(id, &life(id)[1..3]).await;
    for percent in [80, 40] {
        desk.report(id, percent).await;
        wait_for("the report", async || (other.poll(id, &[]).await.body["progress"] == 80).then_some(())).await;
    }
    let seen = api.wait_for(id, |body| body["waitingFor"] == "render" && body["progress"] == 80).await;
    let lagging = job_id(2);
    desk.live(lagging, &[requested()]).await;
    wait_for("the entry", async || Jobs::new(desk.bus.clone()).get(lagging).await.ok()?).await;
    projector.end().await;
    assert_eq!(other.poll(lagging, &[]).await.body["status"], "pending");
    let end = other.cancel(lagging).await;
    let (_, entry) = Jobs::new(desk.bus.clone()).get(lagging).await.expect("readable").expect("an entry");
    assert_eq!(entry.status, Status::Pending, "the entry lags, and the log does not");
    assert_eq!(other.poll(lagging, &[]).await.body["status"], "cancelled", "who wrote it needs no name for that");
    assert_eq!(api.poll_after(lagging, &end.etag).await.status, 304);

    // Without a bucket the report of 80 is known to nobody but the client.
    desk.lose_bucket().await;
    wait_for("a look into the new bucket", async || (other.poll(id, &[]).await.body["progress"] != 80).then_some(()))
        .await;
    for api in [&api, &other] {
        let answer = api.poll_after(id, &seen.etag).await;
        assert_eq!((answer.status, &answer.etag), (304, &seen.etag), "{answer:?}");
    }
    let end = other.cancel(id).await;
    assert_eq!((end.status, &end.body["status"]), (200, &"cancelled".into()));
    assert_eq!(api.poll_after(id, &end.etag).await.status, 304, "only the log has it");
    let news =
        wait_for("the news", async || Some(api.poll_after(id, &seen.etag).await).filter(|a| a.status == 200)).await;
    assert_eq!(news.body["status"], "cancelled", "the other api wrote it");
    assert_not_older(&seen.body, &news.body);
    let refused = api.cancel(id).await;
    assert_eq!((refused.status, &refused.body["code"]), (409, &"ended".into()));
    assert_eq!(refused.body["jobStatus"], "cancelled");
}

#[tokio::test]
async fn a_long_poll_ends_with_the_news_or_with_its_time() {
    let mut desk = Desk::start().await;
    let api = desk.api().await;
    let _projector = desk.projector();
    let id = job_id(1);
    desk.live(id, &life(id)[..1]).await;
    let first = api.wait_for(id, |body| body["queuePosition"] == 1).await;
    let begin = Instant::now();
    let echo = [("prefer", "wait=1"), ("if-none-match", &*first.etag)];
    let (nothing, unchanged) = tokio::join!(api.poll(id, &echo), api.poll(id, &[("prefer", "respond-async, wait=1")]));
    assert!(begin.elapsed() >= Duration::from_secs(1));
    assert_eq!((nothing.status, nothing.header("preference-applied")), (304, Some("wait=1")));
    assert_eq!((unchanged.status, &unchanged.body), (200, &first.body));

    let mut seen = first;
    for (event, status) in life(id)[1..].iter().zip(["processing", "processing", "complete"]) {
        let begin = Instant::now();
        let echo = [("prefer", "wait=600"), ("if-none-match", &*seen.etag)];
        let ((), told, knew) = tokio::join!(
            desk.live(id, std::slice::from_ref(event)),
            api.poll(id, &[("prefer", "wait=30")]),
            api.poll(id, &echo)
        );
        assert!(begin.elapsed() < Duration::from_secs(20), "it did not wait for the end of the time");
        assert_eq!((knew.header("preference-applied"), &knew.body["status"]), (Some("wait=60"), &status.into()));
        assert_not_older(&seen.body, &told.body);
        seen = knew;
    }
    let begin = Instant::now();
    for headers in [&[("prefer", "wait=30")][..], &[("prefer", "wait=30"), ("if-none-match", &seen.etag)]] {
        api.poll(id, headers).await;
    }
    assert!(begin.elapsed() < Duration::from_secs(20), "an end is not waited for");
    assert_eq!(api.poll(job_id(2), &[("prefer", "wait=30")]).await.status, 404);

    let waiting = job_id(3);
    desk.live(waiting, &[requested()]).await;
    let seen = api.wait_for(waiting, |body| body["queuePosition"] == 1).await;
    let stopping = async {
        // The connection is open by then, or else refused: both end the wait.
        tokio::task::yield_now().await;
        api.stop.cancel();
    };
    let url = format!("{}/api/render/{waiting}", api.url);
    let request = api.http.get(url).header("prefer", "wait=60").header("if-none-match", &seen.etag).send();
    let begin = Instant::now();
    let (answer, ()) = tokio::join!(request, stopping);
    assert!(answer.is_err() || begin.elapsed() < Duration::from_secs(20));
}

/// Asks one api after the other, echoing what it saw, until the end.
async fn watch_to_the_end(apis: [Office; 2], id: JobId) -> usize {
    let (mut etag, mut state, mut changes) = (String::new(), Value::Null, 0);
    for turn in 0.. {
        let answer = apis[turn % 2].poll_after(id, &etag).await;
        match answer.status {
            200 => {
                assert_not_older(&state, &answer.body);
                (etag, state, changes) = (answer.etag, answer.body, changes + 1);
            }
            304 | 503 => {}
            _ => panic!("{answer:?}"),
        }
        if state["status"] == "complete" {
            return changes;
        }
    }
    changes
}

#[tokio::test]
async fn parallel_pollers_over_two_apis_see_a_job_go_forward_only() {
    let mut desk = Desk::start().await;
    let id = job_id(1);
    desk.live(id, &life(id)[..1]).await;
    let (one, two) = (desk.api().await, desk.api().await);
    let _projectors = [desk.projector(), desk.projector()];
    let mut pollers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        pollers.spawn(watch_to_the_end([one.again(), two.again()], id));
    }
    desk.live(id, &life(id)[1..3]).await;
    for percent in 31..=90 {
        desk.report(id, percent).await;
        if percent % 20 == 0 {
            desk.lose_bucket().await;
        }
        if percent % 6 == 0 {
            two.wait_for(id, |body| body["status"] == "processing").await;
        }
    }
    desk.live(id, &life(id)[3..]).await;
    for changes in within("the end", pollers.join_all()).await {
        // Reports are told in batches: how many states there are to see is a matter of time.
        assert!(changes > 1, "{changes} changes were seen");
    }
}
