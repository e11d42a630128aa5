//! Every schema, with its file, its title and its examples. The examples are made of the types themselves.

mod operator;

use events::event::{AttemptFailed, Cancelled, Completed, Dispatched, Failed, Output, Progressed, Requested, Started};
use events::wire::{callback, client, dispatch};
use events::{Code, Entry};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::{Value, json};

pub(super) struct Schema {
    /// Below `schemas/`.
    pub(super) path: &'static str,
    pub(super) schema: Value,
}

/// Which side of a body is described: what a reader takes, or what a writer gives.
#[derive(Clone, Copy)]
enum Side {
    Taken,
    Given,
}

pub(super) const JOB: &str = "0193a5c0-7c1e-7b3a-9d52-1f0c8a7be001";
const SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const TIME: &str = "2026-11-21T12:00:00.000Z";

/// Each example must be readable as the type, and is shown as the type writes it.
fn schema<T: JsonSchema + Serialize + serde::de::DeserializeOwned>(
    path: &'static str,
    title: &str,
    side: Side,
    examples: Vec<Value>,
) -> Schema {
    let settings = match side {
        Side::Taken => SchemaSettings::draft2020_12().for_deserialize(),
        Side::Given => SchemaSettings::draft2020_12().for_serialize(),
    };
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    let examples: Vec<Value> = match side {
        Side::Taken => examples.into_iter().inspect(|example| _ = read::<T>(path, example)).collect(),
        Side::Given => {
            examples.iter().map(|example| serde_json::to_value(read::<T>(path, example)).expect("it is JSON")).collect()
        }
    };
    schema["$id"] = format!("https://kiln.example.com/schemas/{path}").into();
    schema["title"] = title.into();
    schema["examples"] = examples.into();
    Schema { path, schema }
}

fn read<T: serde::de::DeserializeOwned>(path: &str, example: &Value) -> T {
    serde_json::from_value(example.clone()).unwrap_or_else(|error| panic!("an example of {path}: {error}"))
}

pub(super) fn catalog() -> Vec<Schema> {
    let mut all = facts();
    all.extend(clients());
    all.extend(operator::schemas());
    all.extend(provider());
    all.extend(containers());
    all
}

fn spec() -> Value {
    json!({
        "audio": {"key": format!("renders/{JOB}/audio.flac"), "sha256": SHA256, "sizeBytes": 1_000_000},
        "outputFormat": "flat-1080p-landscape", "fps": 30, "mode": "flame", "renderSettings": {}, "maxAttempts": 3,
        "deadlineSeconds": 86_400, "metadata": {"album": "Kiln"}
    })
}

fn video() -> Value {
    json!({
        "videoKey": format!("renders/{JOB}/output.mp4"), "format": "flat-1080p-landscape", "durationSeconds": 20.0,
        "sizeBytes": 4_000_000, "sha256": SHA256
    })
}

fn failure(code: Code) -> Value {
    json!({"code": code, "message": code.sentence(), "retryable": code.is_retryable()})
}

fn config() -> Value {
    json!({"version": 1, "outputFormat": "flat-1080p-landscape", "fps": 30, "mode": "flame", "renderSettings": {}})
}

fn facts() -> Vec<Schema> {
    use Side::Taken;
    let requests = vec![
        json!({"spec": {"audio": {"key": format!("renders/{JOB}/audio.flac")}}}),
        json!({"spec": {"audio": {"url": "https://example.com/song.flac", "filename": "song.flac"}, "fps": 60}}),
        json!({"spec": spec()}),
    ];
    let reports = vec![
        json!({"attempt": 1, "stage": "rendering", "progress": 42, "taskId": "ta-1"}),
        json!({"attempt": 2, "progress": 0, "waitingFor": "retry", "until": TIME}),
    ];
    vec![
        schema::<Requested>("events/requested.json", "A render is wanted", Taken, requests),
        schema::<Dispatched>(
            "events/dispatched.json",
            "The GPU provider accepted an attempt",
            Taken,
            vec![json!({"callId": "fc-1", "gpu": true})],
        ),
        schema::<Started>(
            "events/started.json",
            "A container took an attempt",
            Taken,
            vec![json!({"callId": "fc-1", "inputId": "in-1"})],
        ),
        schema::<AttemptFailed>(
            "events/attempt_failed.json",
            "An attempt is over",
            Taken,
            vec![json!({"failure": failure(Code::ContainerCrashed)})],
        ),
        schema::<Completed>(
            "events/completed.json",
            "The video is there",
            Taken,
            vec![json!({"attempt": 1, "output": video()})],
        ),
        schema::<Cancelled>(
            "events/cancelled.json",
            "Nobody wants it any more",
            Taken,
            vec![json!({"reason": "cancelled by a client"})],
        ),
        schema::<Failed>(
            "events/failed.json",
            "The job is given up",
            Taken,
            vec![json!({"failure": failure(Code::AudioMissing)})],
        ),
        schema::<Progressed>("events/progressed.json", "How far an attempt is", Taken, reports),
        schema::<Entry>("job-entry.json", "A job in the KV bucket", Side::Given, vec![entry()]),
    ]
}

/// A finished job, folded from its facts.
fn entry() -> Value {
    let payloads = [
        ("requested", json!({"spec": spec()})),
        ("started.1", json!({"callId": "fc-1", "inputId": "in-1"})),
        ("completed", json!({"attempt": 1, "output": video()})),
    ];
    let mut job = events::Job::default();
    for ((kind, payload), seq) in payloads.into_iter().zip(1_u8..) {
        let subject = format!("render.{JOB}.{kind}");
        let (_, event) = events::Event::read(&subject, payload.to_string().as_bytes()).expect("it is a job's");
        let time = events::Timestamp::parse(TIME).expect("it is a time") + std::time::Duration::from_secs(seq.into());
        job.absorb(&events::Recorded { seq: seq.into(), time, event });
    }
    serde_json::to_value(Entry::from(job)).expect("it is JSON")
}

fn clients() -> Vec<Schema> {
    use Side::{Given, Taken};
    let requests = vec![
        json!({"audio": {"type": "url", "url": "https://example.com/song.flac", "filename": "song.flac"}}),
        json!({"audio": {"key": format!("uploads/{JOB}/audio.flac")}, "fps": 60, "mode": "mist", "metadata": {"n": 1}}),
    ];
    let poll = json!({
        "jobId": JOB, "type": "render", "status": "complete", "progress": 100, "stage": null, "attempt": 1,
        "queuePosition": null, "waitingFor": null, "until": null, "result": video(), "error": null,
        "downloadUrl": "https://bucket.example.com/output.mp4?signature=0", "downloadUrlExpiresAt": TIME,
        "metadata": {}, "createdAt": TIME, "updatedAt": TIME
    });
    let mut failed = poll.clone();
    failed["status"] = "failed".into();
    failed["progress"] = 30.into();
    failed["error"] = failure(Code::AudioUnreadable);
    for absent in ["result", "downloadUrl", "downloadUrlExpiresAt"] {
        failed[absent] = Value::Null;
    }
    let accepted = json!({
        "jobId": JOB, "status": "pending", "statusUrl": format!("/api/render/{JOB}"), "queuePosition": 3, "createdAt": TIME
    });
    let dry_run = json!({"jobId": null, "spec": {"audio": {"key": format!("renders/{JOB}/audio.flac")}}});
    let history = json!({"events": [{"seq": 7, "time": TIME, "event": "started", "attempt": 1, "data": {"callId": "fc-1", "inputId": "in-1"}}]});
    let upload = json!({
        "key": format!("uploads/{JOB}/audio.flac"), "url": "https://bucket.example.com/audio.flac?signature=0",
        "method": "PUT", "headers": {"content-length": "1000000"}, "expiresAt": TIME
    });
    let problem = json!({
        "type": "https://kiln.example.com/problems/invalid_request", "title": "the request is not valid", "status": 422,
        "detail": "`/fps` must be 30 or 60", "code": "invalid_request", "requestId": "r-1",
        "errors": [{"pointer": "/fps", "detail": "must be 30 or 60"}]
    });
    let counts = json!({"pending": 3, "processing": 1, "complete": 40, "failed": 0, "cancelled": 2});
    let list = json!({"jobs": [failed], "nextCursor": "2a", "counts": counts});
    vec![
        schema::<client::RenderRequest>("client/render-request.json", "A request for a render", Taken, requests),
        schema::<client::Accepted>(
            "client/accepted.json",
            "The answer to a request that was accepted",
            Given,
            vec![accepted],
        ),
        schema::<client::DryRun>("client/dry-run.json", "What would be done", Given, vec![dry_run]),
        schema::<client::Poll>("client/poll.json", "Where a job stands", Given, vec![poll, failed]),
        schema::<client::History>("client/history.json", "What happened to a job", Given, vec![history]),
        schema::<client::JobList>("client/job-list.json", "A page of jobs", Given, vec![list]),
        schema::<client::UploadRequest>(
            "client/upload-request.json",
            "A request for a place to upload to",
            Taken,
            vec![json!({"filename": "song.flac", "sizeBytes": 1_000_000})],
        ),
        schema::<client::Upload>("client/upload.json", "Where to upload to", Given, vec![upload]),
        schema::<client::Problem>("client/problem.json", "What is wrong with a request", Given, vec![problem]),
    ]
}

fn provider() -> Vec<Schema> {
    use Side::{Given, Taken};
    let submit = json!({
        "job_id": JOB, "attempt": 1, "idempotency_key": format!("{JOB}:1"), "config": config(),
        "audio_signed_url": "https://bucket.example.com/audio.flac?signature=0", "audio_ext": "flac",
        "r2_upload_key": format!("renders/{JOB}/output.mp4"),
        "upload_signed_url": "https://bucket.example.com/output.mp4?signature=0",
        "callback_url": "https://kiln.example.com", "webhook_url": "https://kiln.example.com/api/webhooks/worker",
        "webhook_secret": format!("kiln1.1.{JOB}.1.1795348800.{SHA256}"), "gpu": true
    });
    let submitted = vec![
        json!({"call_id": "fc-1", "job_id": JOB, "gpu": true, "duplicate": false}),
        json!({"error": "unauthorized", "status": 401}),
    ];
    let mut result = video();
    result["ok"] = true.into();
    let states = vec![json!({"calls": {
        "fc-1": {"status": "running", "result": null, "error": null},
        "fc-2": {"status": "completed", "result": result, "error": null},
        "fc-3": {"status": "completed", "result": {"ok": false, "code": "claimed_elsewhere", "error": "another call has it", "retryable": false}},
    }})];
    let cancel = json!({"job_id": JOB, "attempt": 1, "call_ids": ["fc-1"]});
    vec![
        schema::<dispatch::SubmitBody>("dispatch/submit.json", "A render for the GPU provider", Given, vec![submit]),
        schema::<dispatch::SubmitAnswer>(
            "dispatch/submit-answer.json",
            "The provider's answer to a render",
            Taken,
            submitted,
        ),
        schema::<dispatch::StatusBody>(
            "dispatch/status.json",
            "A question about calls",
            Given,
            vec![json!({"call_ids": ["fc-1"]})],
        ),
        schema::<dispatch::StatusAnswer>("dispatch/status-answer.json", "Where calls stand", Taken, states),
        schema::<dispatch::CancelBody>("dispatch/cancel.json", "A request to stop an attempt", Given, vec![cancel]),
        schema::<dispatch::CancelAnswer>(
            "dispatch/cancel-answer.json",
            "What became of the calls",
            Taken,
            vec![json!({"calls": {"fc-1": "cancelled"}})],
        ),
    ]
}

fn containers() -> Vec<Schema> {
    use Side::{Given, Taken};
    let claimed = json!({
        "attempt": 1, "audioUrl": "https://bucket.example.com/audio.flac?signature=0", "audioExt": "flac",
        "audioSha256": SHA256, "audioSizeBytes": 1_000_000,
        "uploadUrl": "https://bucket.example.com/output.mp4?signature=0", "uploadHeaders": {},
        "uploadKey": format!("renders/{JOB}/output.mp4"), "expiresAt": TIME, "config": config()
    });
    let output: Output = read("callback/callback.json", &video());
    let callbacks = vec![
        json!({"jobId": JOB, "status": "complete", "result": output}),
        json!({"jobId": JOB, "status": "complete", "result": {"videoKey": format!("renders/{JOB}/output.mp4"), "format": "mp4", "duration": 20.0}}),
        json!({"jobId": JOB, "status": "failed", "error": "the renderer ended with an error", "code": "render_failed", "retryable": true}),
    ];
    vec![
        schema::<callback::ClaimBody>(
            "callback/claim.json",
            "A container's claim",
            Taken,
            vec![json!({"callId": "fc-1", "inputId": "in-1", "taskId": "ta-1"})],
        ),
        schema::<callback::ClaimAnswer>("callback/claim-answer.json", "What a claim gives", Given, vec![claimed]),
        schema::<callback::ProgressBody>(
            "callback/progress.json",
            "A container's report",
            Taken,
            vec![json!({"progress": 42, "currentStage": "rendering", "taskId": "ta-1"})],
        ),
        schema::<callback::CallbackBody>("callback/callback.json", "A render's end", Taken, callbacks),
        schema::<callback::CallbackAnswer>(
            "callback/callback-answer.json",
            "The answer to a render's end",
            Given,
            vec![json!({"success": true})],
        ),
    ]
}
