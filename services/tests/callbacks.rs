//! What a machine that we do not own may say.

use events::capability::{Grant, Roots};
use events::{Attempt, JobId, Status, Timestamp};
use serde_json::{Value, json};

use crate::world::TestWorld;

/// A capability of this world's own making.
fn capability(world: &TestWorld, job: JobId, attempt: u16) -> String {
    let secrets = std::fs::read(world.folder.path().join("data/secrets.json")).expect("the secrets are there");
    let secrets: Value = serde_json::from_slice(&secrets).expect("they are JSON");
    let roots = Roots::parse(secrets["webhook"].as_str().expect("it is a text")).expect("they are roots");
    let attempt = Attempt::new(attempt).expect("it is an attempt");
    let grant = Grant { job, attempt, expires: Timestamp::from_unix_ms(4_000_000_000_000) };
    roots.mint(&grant).expose().to_owned()
}

async fn call(world: &TestWorld, bearer: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let request = world.http.request(method.parse().expect("it is a method"), world.url(path));
    let response = request.bearer_auth(bearer).json(body).send().await.expect("it is answered");
    (response.status().as_u16(), response.json().await.unwrap_or(Value::Null))
}

#[tokio::test]
async fn without_the_capability_of_exactly_this_job_nothing_is_learnt_or_changed() {
    let world = TestWorld::start().await;
    let job = world.submit(&world.music(30)).await.job_id;
    let other = JobId::new(1, [1; 10]);
    let (right, foreign) = (capability(&world, job, 1), capability(&world, other, 1));
    let forged = format!("{}0", &right[..right.len() - 1]);
    let complete = json!({"jobId": job, "status": "complete", "result": {"videoKey": "x"}});
    let claim = json!({"callId": "fc-x", "inputId": "in-x", "taskId": "ta-x"});
    for bearer in ["", "nonsense", &foreign, &forged, &right.to_uppercase()] {
        for (method, path, body) in [
            ("POST", format!("/api/render/{job}/claim"), &claim),
            ("PATCH", format!("/api/render/{job}"), &json!({"progress": 50})),
            ("POST", "/api/webhooks/worker".to_owned(), &complete),
        ] {
            let (status, problem) = call(&world, bearer, method, &path, body).await;
            assert_eq!((status, &problem["code"]), (401, &"unauthorized".into()), "{method} {path} {bearer}");
        }
    }
    let (status, _) = call(&world, &foreign, "POST", &format!("/api/render/{other}/claim"), &claim).await;
    assert_eq!(status, 404, "a right capability of a job that is not there");
    world.stop().await;
}

#[tokio::test]
async fn a_container_that_is_not_the_first_or_comes_too_late_is_told_to_stop() {
    let world = TestWorld::start().await;
    let job = world.submit(&world.music(30)).await.job_id;
    world.wait_for(job, |poll| poll.stage.as_deref() == Some("rendering")).await;
    let (first, second) = (capability(&world, job, 1), capability(&world, job, 2));
    let claim = |call: &str| json!({"callId": call, "inputId": "in-x", "taskId": "ta-x"});
    let path = format!("/api/render/{job}/claim");
    let (status, problem) = call(&world, &first, "POST", &path, &claim("fc-other")).await;
    assert_eq!((status, &problem["code"]), (409, &"claimed_elsewhere".into()));
    let (status, problem) = call(&world, &second, "POST", &path, &claim("fc-other")).await;
    assert_eq!((status, &problem["code"]), (410, &"over".into()));
    let missing =
        json!({"jobId": job, "status": "complete", "result": {"videoKey": format!("renders/{job}/output-2.mp4")}});
    let (status, problem) = call(&world, &second, "POST", "/api/webhooks/worker", &missing).await;
    assert_eq!((status, &problem["code"]), (409, &"output_missing".into()));
    let victim = json!({"jobId": job, "status": "complete", "result": {"videoKey": "renders/0193a5c0-7c1e-7b3a-9d52-1f0c8a7be001/output.mp4"}});
    let (status, _) = call(&world, &first, "POST", "/api/webhooks/worker", &victim).await;
    assert_eq!(status, 422);
    let delete = world.http.delete(world.url(&format!("/api/render/{job}"))).send().await.expect("it is answered");
    assert_eq!(delete.status(), 200);
    let report = json!({"progress": 50, "currentStage": "rendering"});
    let (status, _) = call(&world, &second, "PATCH", &format!("/api/render/{job}"), &report).await;
    assert_eq!(status, 410);
    let failed = json!({"jobId": job, "status": "failed", "error": "too late"});
    let (status, problem) = call(&world, &first, "POST", "/api/webhooks/worker", &failed).await;
    assert_eq!((status, &problem["code"]), (409, &"ended".into()));
    assert_eq!(world.wait_for_end(job).await.status, Status::Cancelled);
    world.stop().await;
}
