//! The subjects as a document in `AsyncAPI` 3: what a publisher or a consumer in another language needs.

use serde_json::{Map, Value, json};

const KINDS: [(&str, &str, bool); 8] = [
    (
        "requested",
        "A render is wanted. Written by the api, or by any publisher: publish as a request and read the answer. The log is write-once: a second one for the same job is refused by the server with error 10077.",
        false,
    ),
    ("dispatched", "The GPU provider accepted this attempt. Written by the worker.", true),
    ("started", "A container took this attempt; the first one wins. Written by the webhook.", true),
    ("attempt_failed", "This attempt is over. Written by the webhook or the worker.", true),
    ("completed", "The video is there. Written by the webhook or the worker.", false),
    ("cancelled", "Nobody wants it any more. Written by the api, or by the worker for a request that expired.", false),
    ("failed", "The job is given up. Written by the worker.", false),
    (
        "progressed",
        "How far the current attempt is; only the last one is kept. Written by the webhook and the worker.",
        false,
    ),
];

pub(super) fn document() -> Value {
    let mut channels = Map::new();
    let mut messages = Map::new();
    let mut operations = Map::new();
    for (kind, description, has_attempt) in KINDS {
        channels.insert(kind.into(), channel(kind, description, has_attempt));
        messages.insert(kind.into(), message(kind, description));
        let reference = json!({"$ref": format!("#/channels/{kind}")});
        let action = if kind == "requested" { "receive" } else { "send" };
        operations.insert(
            format!("{action}-{kind}"),
            json!({"action": action, "channel": reference, "summary": description}),
        );
    }
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "kiln: the log",
            "version": "1",
            "description": "Every fact about a job is one message on its own subject, in the JetStream stream `RENDER` (progress: `RENDER_PROGRESS`), and the server refuses a second one there. Payloads are plain JSON; a message whose payload breaks its schema is never obeyed. Its time is the server's."
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": messages,
            "messageTraits": {"cloudEvent": {"headers": headers()}},
        }
    })
}

fn channel(kind: &str, description: &str, has_attempt: bool) -> Value {
    let mut parameters = json!({"job": {
        "description": "The job: a UUID in its canonical form of 36 lower-case characters. Version 7 if you make it anew; the same name again is the same job.",
        "examples": [super::catalog::JOB]
    }});
    let mut address = format!("render.{{job}}.{kind}");
    if has_attempt {
        address.push_str(".{attempt}");
        parameters["attempt"] =
            json!({"description": "The attempt: 1 to 99, without leading zeros.", "examples": ["1"]});
    }
    json!({
        "address": address,
        "description": description,
        "parameters": parameters,
        "messages": {kind: {"$ref": format!("#/components/messages/{kind}")}},
    })
}

fn message(kind: &str, description: &str) -> Value {
    json!({
        "name": kind,
        "summary": description,
        "contentType": "application/json",
        "traits": [{"$ref": "#/components/messageTraits/cloudEvent"}],
        "payload": {"schemaFormat": "application/schema+json;version=draft-2020-12", "schema": {"$ref": format!("./events/{kind}.json")}},
    })
}

/// `CloudEvents` 1.0 in binary mode. None is required of a publisher, and none is believed: subject and payload decide.
fn headers() -> Value {
    let text =
        |description: &str, example: &str| json!({"type": "string", "description": description, "examples": [example]});
    let job = super::catalog::JOB;
    json!({
        "type": "object",
        "description": "CloudEvents 1.0 in binary mode, and the trace. Optional for publishers; subject and payload decide.",
        "properties": {
            "ce-specversion": {"const": "1.0", "description": "Version of CloudEvents."},
            "ce-id": text("The event's name: its subject, since a subject has one message.", &format!("render.{job}.started.1")),
            "ce-type": text("`kiln.render.` and the kind, with its attempt.", "kiln.render.started.1"),
            "ce-source": text("`kiln/` and the role that wrote it.", "kiln/webhook"),
            "ce-subject": text("The job.", job),
            "ce-time": {"type": "string", "format": "date-time", "description": "When it was written, by its writer's clock.", "examples": ["2026-11-21T12:00:00.000Z"]},
            "traceparent": text("W3C trace context.", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        }
    })
}
