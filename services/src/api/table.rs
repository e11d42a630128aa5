//! Every route of the api, with all that is said of it. The router and the document are both made of this table.

use axum::http::Method;
use axum::routing::{delete, get, post};
use events::wire::client::{Accepted, DryRun, History, JobList, Poll, RenderRequest, Upload, UploadRequest};
use schemars::generate::SchemaGenerator;
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use super::{Api, cancel, history, list, openapi, poll, retry, submit, uploads};
use crate::http::code::Code::{
    AudioGone, Conflict, Ended, ExpiredKey, IdempotencyKeyReused, InvalidRequest, LogUnavailable, NotEnded, NotFound,
    QueueFull, Stopping, TooLarge, Unavailable, Unknown, UnsupportedMediaType,
};
use crate::http::route::{Answer, Class, Content, Link, Operation, Parameter, Route};
use crate::keys::Scope;

const JOB: Parameter = Parameter {
    place: "path",
    name: "job",
    meaning: "The job's id.",
    schema: || json!({"type": "string", "format": "uuid"}),
};

const IDEMPOTENCY_KEY: Parameter = Parameter {
    place: "header",
    name: "Idempotency-Key",
    meaning: "The same key and request give the same job, however often they are sent.",
    schema: || json!({"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"}),
};

const DRY_RUN: Parameter = Parameter {
    place: "query",
    name: "dryRun",
    meaning: "Say what would be done, and do nothing.",
    schema: || json!({"type": "boolean", "default": false}),
};

const HOW_TO_POLL: &[Parameter] = &[
    JOB,
    Parameter {
        place: "header",
        name: "If-None-Match",
        meaning: "The ETag of the last answer: 304 while there is nothing newer, and never an answer that is older.",
        schema: || json!({"type": "string"}),
    },
    Parameter {
        place: "header",
        name: "Prefer",
        meaning: "`wait=30`: the answer is held back until there is news, up to so many seconds; 60 at most.",
        schema: || json!({"type": "string"}),
    },
    Parameter {
        place: "header",
        name: "Last-Event-ID",
        meaning: "The id of the last event of a stream: the next one begins after it.",
        schema: || json!({"type": "string"}),
    },
];

const HOW_TO_LIST: &[Parameter] = &[
    Parameter {
        place: "query",
        name: "status",
        meaning: "Only jobs of this status.",
        schema: || json!({"enum": ["", "pending", "processing", "complete", "failed", "cancelled"]}),
    },
    Parameter {
        place: "query",
        name: "limit",
        meaning: "How many jobs: 1 to 100, else 20.",
        schema: || json!({"type": "integer", "minimum": 1, "maximum": 100}),
    },
    Parameter {
        place: "query",
        name: "cursor",
        meaning: "The `nextCursor` of the answer before.",
        schema: || json!({"type": "string"}),
    },
];

const TO_JOB: &[Link] = &[
    Link { operation: "poll", parameter: "job", value: "$response.body#/jobId" },
    Link { operation: "history", parameter: "job", value: "$response.body#/jobId" },
    Link { operation: "cancel", parameter: "job", value: "$response.body#/jobId" },
];

/// The table.
pub(super) fn routes() -> Vec<Route<Api>> {
    let mut all = submitting();
    all.extend(following());
    all.extend(as_original());
    all.extend(reading());
    all
}

fn submitting() -> Vec<Route<Api>> {
    let submit = Operation {
        method: Method::POST,
        path: "/api/render",
        name: "submit",
        summary: "Ask for a render",
        description: "202 means that the audio is in the store and the request in the log: exactly one end will follow.",
        class: Class::Upload,
        scope: Some(Scope::Submit),
        parameters: &[IDEMPOTENCY_KEY, DRY_RUN],
        body: vec![Content::json::<RenderRequest>(), Content::form::<RenderRequest>()],
        answers: submitted(),
        problems: &[
            InvalidRequest,
            UnsupportedMediaType,
            TooLarge,
            IdempotencyKeyReused,
            ExpiredKey,
            QueueFull,
            LogUnavailable,
            Stopping,
            Unavailable,
            Unknown,
        ],
    };
    let retry = Operation {
        method: Method::POST,
        path: "/api/render/{job}/retry",
        name: "retry",
        summary: "Ask for the same render again",
        description: "A new job with the request and the audio of one that has ended.",
        scope: Some(Scope::Submit),
        parameters: &[JOB, IDEMPOTENCY_KEY, DRY_RUN],
        answers: submitted(),
        problems: &[
            NotFound,
            NotEnded,
            AudioGone,
            Conflict,
            IdempotencyKeyReused,
            ExpiredKey,
            QueueFull,
            LogUnavailable,
            Stopping,
            Unavailable,
            Unknown,
        ],
        ..Operation::default()
    };
    let upload = Operation {
        method: Method::POST,
        path: "/api/uploads",
        name: "upload",
        summary: "Get an address to send a large file to",
        description: "Send the file there with PUT, and then submit with its key.",
        class: Class::Json,
        scope: Some(Scope::Submit),
        body: vec![Content::json::<UploadRequest>()],
        answers: vec![Answer::json::<Upload>(201, "Where to send the file.")],
        problems: &[InvalidRequest, TooLarge, Unavailable],
        ..Operation::default()
    };
    vec![submit.by(post(submit::submit)), retry.by(post(retry::retry)), upload.by(post(uploads::upload))]
}

fn submitted() -> Vec<Answer> {
    vec![
        Answer {
            headers: &[("Location", "Where to ask how the job stands.")],
            links: TO_JOB,
            ..Answer::json::<Accepted>(202, "The job was accepted.")
        },
        Answer::json::<DryRun>(200, "What would be done; only with `dryRun`."),
    ]
}

fn following() -> Vec<Route<Api>> {
    let list = Operation {
        path: "/api/render",
        name: "list",
        summary: "List the jobs, the newest first",
        description: "Each job as a poll tells it, without an address to download from; and how many there are in all.",
        class: Class::Poll,
        scope: Some(Scope::Read),
        parameters: HOW_TO_LIST,
        answers: vec![Answer::json::<JobList>(200, "A page of jobs.")],
        problems: &[Unavailable],
        ..Operation::default()
    };
    let poll = Operation {
        path: "/api/render/{job}",
        name: "poll",
        summary: "See how a job stands",
        description: "All fields are always there, null where they do not apply. With `Accept: text/event-stream` a stream \
                      of the same answers, each with its ETag as id, until the event `end`.",
        class: Class::Poll,
        scope: Some(Scope::Read),
        parameters: HOW_TO_POLL,
        answers: poll_answers(Content::json::<Poll>()),
        problems: &[NotFound, Unavailable],
        ..Operation::default()
    };
    let cancel = Operation {
        method: Method::DELETE,
        path: "/api/render/{job}",
        name: "cancel",
        summary: "Cancel a job",
        description: "The GPU is stopped too. A job that has ended stays as it is.",
        class: Class::Json,
        scope: Some(Scope::Cancel),
        parameters: &[JOB],
        answers: vec![Answer::json::<Poll>(200, "The job is cancelled.")],
        problems: &[NotFound, Ended, Unavailable],
        ..Operation::default()
    };
    let history = Operation {
        path: "/api/render/{job}/events",
        name: "history",
        summary: "See what happened to a job",
        class: Class::Poll,
        scope: Some(Scope::Read),
        parameters: &[JOB],
        answers: vec![Answer::json::<History>(200, "The job's events, oldest first.")],
        problems: &[NotFound, Unavailable],
        ..Operation::default()
    };
    vec![
        list.by(get(list::list)),
        poll.by(get(poll::poll)),
        cancel.by(delete(cancel::cancel)),
        history.by(get(history::history)),
    ]
}

/// The addresses of the service that kiln takes the place of.
fn as_original() -> Vec<Route<Api>> {
    let poll = Operation {
        path: "/api/audio/jobs/{job}",
        name: "pollAsOriginal",
        summary: "See how a job stands, with the error as a text alone",
        class: Class::Poll,
        scope: Some(Scope::Read),
        parameters: HOW_TO_POLL,
        answers: poll_answers(Content::Json(poll_as_original)),
        problems: &[NotFound, Unavailable],
        ..Operation::default()
    };
    let cancel = Operation {
        method: Method::POST,
        path: "/api/audio/jobs/{job}/cancel",
        name: "cancelAsOriginal",
        summary: "Cancel a job",
        class: Class::Json,
        scope: Some(Scope::Cancel),
        parameters: &[JOB],
        answers: vec![Answer {
            content: vec![Content::Json(poll_as_original)],
            ..Answer::empty(200, "The job is cancelled.")
        }],
        problems: &[NotFound, Ended, Unavailable],
        ..Operation::default()
    };
    vec![poll.by(get(poll::poll_as_original)), cancel.by(post(cancel::cancel_as_original))]
}

/// What is said of the api itself.
fn reading() -> Vec<Route<Api>> {
    let document = Operation {
        path: "/openapi.json",
        name: "document",
        summary: "This document",
        class: Class::Poll,
        answers: vec![Answer::json::<Value>(200, "OpenAPI 3.1.")],
        ..Operation::default()
    };
    let page = Operation {
        path: "/docs",
        name: "docs",
        summary: "This document for people",
        class: Class::Poll,
        answers: vec![Answer::text("A page.", "text/html")],
        ..Operation::default()
    };
    vec![document.by(get(openapi::serve)), page.by(get(openapi::serve_page))]
}

fn poll_answers(body: Content) -> Vec<Answer> {
    const HEADERS: &[(&str, &str)] = &[
        ("ETag", "Names this answer."),
        ("Retry-After", "Seconds until it is worth asking again; absent once the job has ended."),
        ("Preference-Applied", "How long news was waited for."),
    ];
    vec![
        Answer {
            content: vec![body, Content::Text("text/event-stream")],
            headers: HEADERS,
            ..Answer::empty(200, "How the job stands.")
        },
        Answer { headers: HEADERS, ..Answer::empty(304, "There is nothing newer than what the client has.") },
        Answer::empty(204, "The client has seen the end: there is nothing to stream."),
    ]
}

fn poll_as_original(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = Poll::json_schema(generator);
    schema.insert("properties".into(), {
        let mut properties = schema.get("properties").cloned().unwrap_or_default();
        properties["error"] = json!({"type": ["string", "null"], "description": "Why there is no video."});
        properties
    });
    schema
}
