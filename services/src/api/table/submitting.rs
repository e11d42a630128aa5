//! Asking for renders.

use axum::http::Method;
use axum::routing::post;
use events::wire::client::{Accepted, DryRun, RenderRequest, Upload, UploadRequest};
use serde_json::json;

use super::{JOB, TO_JOB};
use crate::api::{Api, retry, submit, uploads};
use crate::http::code::Code::{
    AudioGone, Conflict, ExpiredKey, IdempotencyKeyReused, InvalidRequest, LogUnavailable, NotEnded, NotFound,
    QueueFull, Stopping, TooLarge, Unavailable, Unknown, UnsupportedMediaType,
};
use crate::http::route::{Answer, Class, Content, Operation, Parameter, Route};
use crate::keys::Scope;

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

pub(super) fn routes() -> Vec<Route<Api>> {
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
            links: &TO_JOB,
            ..Answer::json::<Accepted>(202, "The job was accepted.")
        },
        Answer::json::<DryRun>(200, "What would be done; only with `dryRun`."),
    ]
}
