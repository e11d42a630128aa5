//! A log that goes back is not written to, in any of the ways that it can go back.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use events::Timestamp;
use events::event::Requested;
use events::wire::client::Accepted;
use kiln::bucket::Bucket;
use kiln::fence::{Fence, Fences, Keeper, Watch};
use nats::{Bus, topology};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use crate::stage::Store;
use crate::support::{kiln, wait_for};
use crate::world::TestWorld;

/// A world whose jobs nobody renders, and what it takes to mistreat its log.
struct Fenced {
    world: TestWorld,
    bucket: kiln::config::Bucket,
}

impl Fenced {
    async fn start() -> Self {
        let world = TestWorld::start().await;
        let bucket = world.bucket();
        Self { world, bucket }
    }

    fn jetstream(&self) -> PathBuf {
        self.world.folder.path().join("data/nats/jetstream")
    }

    async fn bus(&mut self) -> Bus {
        self.world.world().bus().await.expect("connected")
    }

    async fn readiness(&self) -> (u16, String) {
        let answer = self.world.http.get(self.world.url("/readyz")).send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a text"))
    }

    async fn wait_for_readiness(&self, wanted: u16, word: &str) -> String {
        wait_for("the readiness", async || {
            let (status, text) = self.readiness().await;
            (status == wanted && text.contains(word)).then_some(text)
        })
        .await
    }

    async fn submit(&self) -> Accepted {
        self.world.submit(&self.world.music(1)).await
    }

    /// What the fence's commands print.
    async fn fence(&mut self, arguments: &[&str]) -> Output {
        let mut command = Command::new(kiln());
        command.arg("fence").args(arguments).stdin(Stdio::null()).kill_on_drop(true);
        command
            .env("NATS_URL", &self.world.world().addresses.nats)
            .env("R2_ENDPOINT", self.bucket.r2_endpoint.as_deref().unwrap_or_default())
            .env("R2_BUCKET_NAME", &self.bucket.r2_bucket_name)
            .env("R2_ACCESS_KEY_ID", &self.bucket.r2_access_key_id)
            .env("R2_SECRET_ACCESS_KEY", self.bucket.r2_secret_access_key.expose());
        command.output().await.expect("kiln runs")
    }

    /// Stops the server, does something to its folder, and starts it again.
    async fn meanwhile(&mut self, act: impl FnOnce(&Path)) {
        let folder = self.jetstream();
        self.world.world().nats().stop();
        act(&folder);
        self.world.world().nats().restart().await.expect("it starts again");
    }

    /// Nothing is written, everybody says so, and what is asked is answered with a mark.
    async fn expect_fenced(&mut self, known: events::JobId, lost: events::JobId, sentence: &str) {
        let text = self.wait_for_readiness(503, sentence).await;
        assert!(text.contains("kiln fence accept"), "{text}");
        let ask = async |method: &str, path: &str| {
            let method: reqwest::Method = method.parse().expect("a method");
            let request = self.world.http.request(method, self.world.url(path)).json(&json!({}));
            let answer = request.send().await.expect("an answer");
            let is_stale = answer.headers().get("kiln-stale").is_some_and(|value| value == "true");
            let status = answer.status().as_u16();
            (status, is_stale, answer.json::<Value>().await.unwrap_or_default()["code"].clone())
        };
        let refused = (503, false, json!("log_fenced"));
        assert_eq!(ask("POST", "/api/render").await, refused);
        assert_eq!(ask("DELETE", &format!("/api/render/{known}")).await, refused);
        // Each role looks for itself.
        wait_for("the webhook's look", async || (ask("POST", "/api/webhooks/worker").await == refused).then_some(()))
            .await;
        assert_eq!(ask("POST", &format!("/api/render/{known}/claim")).await, refused);
        assert_eq!(ask("GET", &format!("/api/render/{known}")).await, (200, true, Value::Null));
        let health = self.world.health().await;
        let log = crate::health::part(&health, "log");
        assert_eq!((&log["status"], &health["status"]), (&json!("down"), &json!("down")));
        assert!(log["detail"].as_str().is_some_and(|detail| detail.contains(sentence)), "{health}");
        // Its request is gone from the log; that it never was one would be a lie. What is remembered is told with the mark.
        let told = ask("GET", &format!("/api/render/{lost}")).await;
        assert!(told == refused || told == (200, true, Value::Null), "{told:?}");
        // A role that starts now finds it out by itself.
        let bus = self.bus().await;
        let bucket = Bucket::new(&self.bucket).expect("a bucket");
        let _watch = Watch::start(&bus, &bucket, Keeper::No).await;
        assert!(bus.refusal().is_some_and(|reason| reason.contains(sentence)), "{:?}", bus.refusal());
    }

    /// A request by somebody who does not know of the fence.
    async fn publish(&mut self, id: events::JobId, audio_of: events::JobId) {
        let spec = json!({"audio": {"key": format!("renders/{audio_of}/audio.wav")}});
        let spec = serde_json::from_value(spec).expect("a request");
        let (log, event) = (nats::Log::new(self.bus().await), events::Event::Requested(Requested { spec }));
        log.append(id, 0, &event).await.expect("stored");
    }

    /// A person looks, and takes the log as it is. Nobody works at what is in it before that.
    async fn accept(&mut self, known: events::JobId, sentence: &str) {
        let waiting = kiln::clock::new_id();
        self.publish(waiting, known).await;
        let shown = self.fence(&["show"]).await;
        assert!(String::from_utf8_lossy(&shown.stdout).contains(sentence), "{shown:?}");
        let unsure = self.fence(&["accept"]).await;
        assert!(!unsure.status.success() && String::from_utf8_lossy(&unsure.stderr).contains("--yes"), "{unsure:?}");
        assert_eq!((self.readiness().await.0, self.world.kinds(waiting).await), (503, vec!["requested".to_owned()]));
        let accepted = self.fence(&["accept", "--yes"]).await;
        assert!(accepted.status.success(), "{accepted:?}");
        self.wait_for_readiness(200, "ready").await;
        let again = self.fence(&["accept", "--yes"]).await;
        assert!(String::from_utf8_lossy(&again.stdout).contains("nothing to accept"), "{again:?}");
        for job in [waiting, self.submit().await.job_id] {
            assert_eq!(self.world.wait_for_end(job).await.status, events::Status::Complete);
        }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

#[tokio::test]
async fn a_log_from_an_old_copy_is_not_written_to_until_a_person_accepts_it() {
    let mut fenced = Fenced::start().await;
    let known = fenced.submit().await.job_id;
    fenced.world.wait_for_end(known).await;
    let old = fenced.world.folder.path().join("old");
    fenced.meanwhile(|folder| copy(folder, &old)).await;
    // A log that only goes on is fine after a restart.
    fenced.wait_for_readiness(200, "ready").await;
    let lost = fenced.submit().await.job_id;
    fenced.world.wait_for_end(lost).await;

    fenced
        .meanwhile(|folder| {
            std::fs::remove_dir_all(folder).expect("it can be removed");
            copy(&old, folder);
        })
        .await;

    fenced.expect_fenced(known, lost, "the log went back: it ends at ").await;
    fenced.accept(known, "the log went back").await;
    fenced.world.stop().await;
}

#[tokio::test]
async fn a_log_that_was_made_anew_is_not_written_to_until_a_person_accepts_it() {
    let mut fenced = Fenced::start().await;
    let job = fenced.submit().await.job_id;
    fenced.world.wait_for_end(job).await;
    let bus = fenced.bus().await;

    fenced
        .meanwhile(|folder| std::fs::remove_dir_all(folder.join("jetstream/$G/streams/RENDER")).expect("removed"))
        .await;

    fenced.wait_for_readiness(503, "the log is gone").await;
    wait_for("the topology", async || topology::provision(&bus, &topology::Tunables::default()).await.ok()).await;
    let sentence = "the log is another one";
    // The entries are still there, so the poll knows the job that the log does not know any more.
    fenced.expect_fenced(job, "0193a5c0-7c1e-7b3a-9d52-1f0c8a7be001".parse().expect("a job"), sentence).await;
    fenced.accept(job, sentence).await;
    fenced.world.stop().await;
}

fn fence(last_seq: u64) -> Fence {
    let written = Timestamp::from_unix_ms(0);
    Fence { created: "2026-01-01T00:00:00.5Z".into(), last_seq, last_time: None, accepted: 0, written }
}

#[tokio::test]
async fn of_many_writers_of_the_fence_none_moves_it_back() {
    let store = Store::new().await;
    let fences = Fences::new(store.bucket.clone());
    assert_eq!(fences.read().await.expect("an answer"), None);
    for round in 0..5 {
        let writers = [3, 1, 4, 2].map(|n| 10 * round + n);
        let writing = writers.map(|last_seq| {
            let fences = fences.clone();
            async move { fences.advance(&fence(last_seq)).await.expect("written").last_seq >= last_seq }
        });
        assert_eq!(futures_util::future::join_all(writing).await, [true; 4]);
        assert_eq!(fences.read().await.expect("an answer"), Some(fence(10 * round + 4)));
    }
    let other = Fence { created: "2027-01-01T00:00:00.5Z".into(), ..fence(1000) };
    assert_eq!(fences.advance(&other).await.expect("an answer"), fence(44));
    let accepted = Fence { accepted: 1, ..other };
    assert_eq!(fences.advance(&accepted).await.expect("an answer"), accepted);
    assert_eq!(fences.advance(&fence(2000)).await.expect("an answer"), accepted);
}

#[tokio::test]
async fn another_message_at_the_same_place_is_another_log() {
    let mut fenced = Fenced::start().await;
    let job = fenced.submit().await.job_id;
    fenced.world.wait_for_end(job).await;
    let (bus, bucket) = (fenced.bus().await, Bucket::new(&fenced.bucket).expect("a bucket"));
    let fences = Fences::new(bucket.clone());
    let there = fences.read().await.expect("an answer").expect("the projector has made it");
    let head = nats::Log::new(bus.clone()).head().await.expect("an answer").expect("a log");
    assert_eq!((&there.created, there.accepted), (&head.created, 0));
    let rotten = Fence { last_time: Some(Timestamp::from_unix_ms(1)), ..Fence::of(&head, 0, there.written) };
    fences.advance(&rotten).await.expect("written");

    let watch = Watch::start(&bus, &bucket, Keeper::Yes).await;

    let reason = bus.refusal().expect("it is refused");
    assert!(reason.contains(&format!("message {} is not the one", head.last_seq)), "{reason}");
    let stop = CancellationToken::new();
    stop.cancel();
    watch.run(stop).await;
    assert_eq!(fences.read().await.expect("an answer"), Some(rotten), "a fence that forbids writing is left alone");
    let accepted = fenced.fence(&["accept", "--yes"]).await;
    assert!(String::from_utf8_lossy(&accepted.stdout).contains("is not the one that was there"), "{accepted:?}");
    Watch::start(&bus, &bucket, Keeper::No).await;
    assert_eq!(bus.refusal(), None);
    fenced.world.stop().await;
}

#[tokio::test]
async fn nothing_is_written_before_the_bucket_has_answered_once() {
    let mut fenced = Fenced::start().await;
    let bus = fenced.bus().await;
    let config = kiln::config::Bucket { r2_endpoint: Some(crate::support::nowhere().await), ..fenced.bucket.clone() };
    let absent = Bucket::new(&config).expect("a bucket");
    Watch::start(&bus, &absent, Keeper::Yes).await;
    assert!(bus.refusal().is_some_and(|reason| reason.contains("not known yet")), "{:?}", bus.refusal());
    fenced.world.stop().await;
}

#[tokio::test]
async fn an_outage_of_the_bucket_stops_nothing_also_when_the_log_connects_anew() {
    let mut fenced = Fenced::start().await;
    let (bus, store, stop) = (fenced.bus().await, Store::new().await, CancellationToken::new());
    let watch = Watch::start(&bus, &store.bucket, Keeper::No).await;
    let before = bus.connects();
    let watching = tokio::spawn(watch.run(stop.clone()));
    drop(store);
    fenced.meanwhile(|_| ()).await;
    bus.reconnected(before).await;
    wait_for("the gate", async || {
        bus.writable().await;
        Some(())
    })
    .await;
    stop.cancel();
    watching.await.expect("it ends");
    fenced.world.stop().await;
}
