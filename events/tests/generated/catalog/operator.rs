//! What whoever runs a kiln is told.

use events::wire::operator::{DeadLetterList, Health, Redriven, WholeDeadLetter};
use serde_json::json;

use super::{JOB, Schema, Side::Given, TIME, schema};

pub(super) fn schemas() -> Vec<Schema> {
    let part = |name: &str, detail: &str| json!({"name": name, "status": "ok", "detail": detail});
    let health = json!({
        "status": "ok",
        "parts": [
            part("log", "the log is written and has room"),
            part("store", "the bucket answers"),
            part("provider", "1 job is with Modal"),
            part("projection", "the entries are up to date"),
            part("workers", "a worker asks for jobs; 2 are held"),
        ],
        "queue": {
            "waiting": 3, "oldestWaitingSeconds": 12, "inFlight": 1,
            "waitingFor": {"slot": 3, "modal": 0, "container": 0, "render": 1, "retry": 0, "reconcile": 0},
        },
        "counts": {"pending": 3, "processing": 1, "complete": 40, "failed": 0, "cancelled": 2},
    });
    let letter = json!({
        "id": "17", "time": TIME, "subject": format!("render.{JOB}.completed"), "jobId": JOB,
        "reason": "the payload is not valid: missing field `output`", "stream": "RENDER", "sequence": 412,
    });
    let mut whole = letter.clone();
    whole["headers"] = json!({"content-type": "application/json"});
    whole["body"] = "{\"attempt\":1}".into();
    whole["bodyTruncated"] = false.into();
    whole["sizeBytes"] = 13.into();
    let list = json!({"deadLetters": [letter], "nextCursor": "11", "total": 3});
    let redriven = json!({
        "id": "17", "stream": "RENDER", "sequence": 412, "effect": "the projectors read the log again from message 412",
    });
    vec![
        schema::<Health>("client/health.json", "How kiln is", Given, vec![health]),
        schema::<DeadLetterList>("client/dead-letter-list.json", "A page of dead letters", Given, vec![list]),
        schema::<WholeDeadLetter>("client/dead-letter.json", "A dead letter", Given, vec![whole]),
        schema::<Redriven>("client/redriven.json", "A message that is read again", Given, vec![redriven]),
    ]
}
