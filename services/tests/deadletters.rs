//! What could not be obeyed is listed, shown and read again, through the api alone.

use events::{JobId, Kind, subject};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::wait_for;
use crate::world::TestWorld;

impl TestWorld {
    async fn ask(&self, method: Method, path: &str) -> (u16, Value) {
        let response = self.http.request(method, self.url(path)).send().await.expect("an answer");
        let status = response.status().as_u16();
        (status, response.json().await.expect("JSON"))
    }

    /// Puts something that nobody can read in the place of a job's end.
    pub(crate) async fn poison(&mut self, job: JobId, headers: &[(&str, &str)], body: Vec<u8>) {
        let mut map = async_nats::HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, *value);
        }
        let client = self.world().bus().await.expect("connected").client().clone();
        let to = subject::of(job, Kind::Completed);
        client.request_with_headers(to, map, body.into()).await.expect("the log takes it");
    }

    pub(crate) async fn letters(&self, query: &str) -> Value {
        let (status, list) = self.ask(Method::GET, &format!("/api/deadletters?{query}")).await;
        assert_eq!(status, 200, "{list}");
        list
    }
}

#[tokio::test]
async fn a_message_that_nobody_can_read_is_listed_shown_and_read_again() {
    let mut world = TestWorld::start().await;
    assert_eq!(world.letters("").await, json!({"deadLetters": [], "nextCursor": null, "total": 0}));
    let jobs = [1, 2, 3].map(|n| JobId::new(n, [0; 10]));
    let headers = [("authorization", "Bearer sesame"), ("x-note", "see Bearer abc")];
    // One after the other: letters of several jobs are kept in any order.
    for (job, total) in jobs.into_iter().zip(1..) {
        world.poison(job, &headers, format!("open with Bearer {job}{}", " ".repeat(20_000)).into()).await;
        wait_for("the letter", async || (world.letters("").await["total"] == total).then_some(())).await;
    }
    let list = world.letters("limit=2").await;
    let newest = &list["deadLetters"][0];
    assert_eq!((&newest["id"], &newest["jobId"], &newest["stream"]), (&json!("3"), &json!(jobs[2]), &json!("RENDER")));
    assert_eq!(newest["subject"], subject::of(jobs[2], Kind::Completed));
    let rest = world.letters(&format!("limit=2&cursor={}", list["nextCursor"].as_str().expect("more"))).await;
    assert_eq!((&rest["deadLetters"][0]["jobId"], &rest["nextCursor"]), (&json!(jobs[0]), &Value::Null));

    let (status, letter) = world.ask(Method::GET, "/api/deadletters/3").await;
    assert_eq!((status, &letter["sequence"], &letter["sizeBytes"]), (200, &newest["sequence"], &json!(20_053)));
    assert_eq!(letter["headers"], json!({"authorization": "[redacted]", "x-note": "see Bearer [redacted]"}));
    let body = letter["body"].as_str().expect("text");
    assert!(body.starts_with("open with Bearer [redacted] "), "{body}");
    assert!(letter["bodyTruncated"] == true && body.len() <= 16 * 1024, "{letter}");

    let (status, again) = world.ask(Method::POST, "/api/deadletters/3/redrive").await;
    assert_eq!((status, &again["id"], &again["sequence"]), (202, &json!("3"), &newest["sequence"]));
    for unknown in ["4", "0", "03", "x", "99999999999999999999"] {
        let (status, problem) = world.ask(Method::GET, &format!("/api/deadletters/{unknown}")).await;
        assert_eq!((status, &problem["code"]), (404, &json!("not_found")), "{unknown}");
    }
    for query in ["limit=0", "cursor=x", "cursor=1&cursor=1", "status=failed"] {
        assert_eq!(world.ask(Method::GET, &format!("/api/deadletters?{query}")).await.0, 400, "{query}");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_letter_that_reading_again_cannot_help_says_why() {
    let mut world = TestWorld::start().await;
    let client = world.world().bus().await.expect("connected").client().clone();
    let report = subject::of(JobId::new(1, [0; 10]), Kind::Progressed);
    client.request(report, "garbage".into()).await.expect("it is taken");
    wait_for("the letter", async || (world.letters("").await["total"] == 1).then_some(())).await;
    let (status, problem) = world.ask(Method::POST, "/api/deadletters/1/redrive").await;
    assert_eq!((status, &problem["code"]), (409, &json!("not_redrivable")), "{problem}");
    world.stop().await;
}
