//! `/metrics`, as Prometheus reads it.

use std::collections::BTreeMap;

use crate::world::TestWorld;

/// Every sample, by name and labels; what is not in the format fails.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let (body, _) = text.split_once("# EOF\n").expect("it has an end");
    let mut described = std::collections::BTreeSet::new();
    let mut samples = BTreeMap::new();
    for line in body.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let name = help.split(' ').next().expect("a name");
            assert!(described.insert(name.to_owned()), "`{name}` is there twice");
        } else if !line.starts_with("# TYPE ") {
            let (name, value) = line.rsplit_once(' ').expect("a sample has a value");
            let family = name.split('{').next().expect("a name");
            assert!(described.iter().any(|known| family.starts_with(known.as_str())), "`{family}` has no help");
            samples.insert(name.to_owned(), value.parse().expect("a number"));
        }
    }
    samples
}

/// The names of metrics that the README promises, in its list of alarms too.
fn promised() -> std::collections::BTreeSet<&'static str> {
    let readme = include_str!("../../README.md");
    let is_name = |character: char| character.is_ascii_lowercase() || character == '_';
    let words = readme.split(|character| !is_name(character)).filter(|word| word.starts_with("kiln_"));
    words.filter(|word| *word != "kiln_").collect()
}

#[tokio::test]
async fn what_happened_is_counted_by_route_and_never_by_address() {
    let world = TestWorld::start().await;
    let audio = world.music(1);
    let job = world.submit(&audio).await.job_id;
    world.wait_for_end(job).await;
    for path in ["/api/render/0193a5c0-7c1e-7b3a-9d52-1f0c8a7be001", "/secret-path", "/api/render/nonsense"] {
        assert_eq!(world.http.get(world.url(path)).send().await.expect("an answer").status(), 404);
    }
    let response = world.http.get(world.url("/metrics")).send().await.expect("an answer");
    assert_eq!(response.headers()["content-type"], kiln::metrics::CONTENT_TYPE);
    let text = response.text().await.expect("a body");
    for private in ["secret-path", "nonsense", "0193a5c0", &job.to_string()] {
        assert!(!text.contains(private), "`{private}` is in {text}");
    }
    let samples = samples(&text);
    let value = |name: &str| samples.get(name).copied().unwrap_or_else(|| panic!("no {name} in {text}"));
    let requests = |labels: &str| value(&format!("kiln_http_requests_total{{{labels}}}"));
    assert!((1.0..2.0).contains(&requests(r#"method="POST",route="/api/render",status="202""#)));
    assert!((2.0..3.0).contains(&requests(r#"method="GET",route="/api/render/{job}",status="404""#)));
    assert!((1.0..2.0).contains(&requests(r#"method="GET",route="other",status="404""#)));
    assert!(requests(r#"method="POST",route="/api/webhooks/worker",status="200""#) >= 1.0, "callbacks count too");
    assert!(value(r#"kiln_http_request_duration_seconds_count{method="POST",route="/api/render"}"#) >= 1.0);
    assert!((1.0..2.0).contains(&value(r#"kiln_jobs{status="complete"}"#)));
    assert!(value(r#"kiln_jobs{status="pending"}"#) < 1.0);
    assert!(value("kiln_queue_oldest_seconds") < 1.0, "the queue is empty");
    assert!((1.0..2.0).contains(&value(r#"kiln_worker_dispatches_total{outcome="accepted"}"#)));
    assert!((1.0..2.0).contains(&value("kiln_worker_dispatch_latency_seconds_count")));
    let held = samples.iter().filter(|(name, _)| name.starts_with("kiln_worker_jobs{"));
    let held: Vec<f64> = held.map(|(_, held)| *held).collect();
    assert!(!held.is_empty() && held.iter().all(|held| *held < 1.0), "it has ended: {held:?}");
    for role in ["api", "webhook", "worker"] {
        assert!(value(&format!("kiln_log_appends_total{{role=\"{role}\"}}")) >= 1.0, "{role}");
    }
    for role in ["api", "webhook", "worker", "projector"] {
        assert!(value(&format!("kiln_nats_connected{{role=\"{role}\"}}")) > 0.0, "{role}");
    }
    // What was never counted has no sample yet.
    let idle = kiln::metrics::Metrics::new();
    idle.shepherds().reconciled(&events::seen::CallReport::Running);
    let text = text + &idle.text();
    let missing = |name: &&&str| !text.contains(&format!("# TYPE {} ", name.trim_end_matches("_total")));
    assert_eq!(promised().iter().find(missing), None);
    assert!(promised().len() > 12);
    world.stop().await;
}
