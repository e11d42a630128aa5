//! Asking how jobs stand, and ending them.

use axum::http::Method;
use axum::routing::{delete, get, post};
use events::wire::client::{History, JobList, Poll};
use schemars::generate::SchemaGenerator;
use schemars::{JsonSchema, Schema};
use serde_json::json;

use super::{CURSOR, JOB, LIMIT, STALE, TO_JOB};
use crate::api::{Api, cancel, history, list, poll};
use crate::http::code::Code::{Ended, NotFound, Unavailable};
use crate::http::route::{Answer, Class, Content, Operation, Parameter, Route};
use crate::keys::Scope;

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
    LIMIT,
    CURSOR,
    Parameter {
        place: "header",
        name: "If-None-Match",
        meaning: "The ETag of the last answer to the same question: 304 while nothing on the page is different.",
        schema: || json!({"type": "string"}),
    },
];

pub(super) fn routes() -> Vec<Route<Api>> {
    let list = Operation {
        path: "/api/render",
        name: "list",
        summary: "List the jobs, the newest first",
        description: "Each job as a poll tells it, without an address to download from; and how many there are in all.",
        class: Class::Poll,
        scope: Some(Scope::Read),
        parameters: HOW_TO_LIST,
        answers: list_answers(),
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
        answers: vec![Answer { headers: &[STALE], ..Answer::json::<History>(200, "The job's events, oldest first.") }],
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
pub(super) fn as_original() -> Vec<Route<Api>> {
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

fn list_answers() -> Vec<Answer> {
    const HEADERS: &[(&str, &str)] = &[("ETag", "Names this page as it is."), STALE];
    vec![
        Answer { headers: HEADERS, ..Answer::json::<JobList>(200, "A page of jobs.") },
        Answer { headers: HEADERS, ..Answer::empty(304, "Nothing on the page is different.") },
    ]
}

fn poll_answers(body: Content) -> Vec<Answer> {
    const HEADERS: &[(&str, &str)] = &[
        ("ETag", "Names this answer."),
        ("Retry-After", "Seconds until it is worth asking again; absent once the job has ended."),
        ("Preference-Applied", "How long news was waited for."),
        STALE,
    ];
    vec![
        Answer {
            content: vec![body, Content::Text("text/event-stream")],
            headers: HEADERS,
            links: &TO_JOB,
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
