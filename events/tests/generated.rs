//! Generated files: what stands in them is what the code says, every one has its generator, and what was ever published
//! is still read. `cargo regen` accepts a change.

mod asyncapi;
mod catalog;
mod transitions;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use events::{Event, Job, Recorded, Timestamp};
use serde_json::Value;

use crate::generated::catalog::catalog;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas")
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).expect("it is JSON") + "\n"
}

#[test]
fn schemas_say_what_the_types_say() {
    for entry in catalog() {
        let path = folder().join(entry.path);
        fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("the folder can be made");
        expectorate::assert_contents(path, &pretty(&entry.schema));
    }
    expectorate::assert_contents(folder().join("asyncapi.json"), &pretty(&asyncapi::document()));
}

#[test]
fn transitions_say_what_the_rules_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("transitions.md");
    expectorate::assert_contents(path, &transitions::document());
}

/// `openapi.json` is made by the crate that has the routes.
#[test]
fn no_schema_is_an_orphan() {
    let mut expected: BTreeSet<PathBuf> = catalog().iter().map(|entry| folder().join(entry.path)).collect();
    expected.extend(["asyncapi.json", "openapi.json"].map(|name| folder().join(name)));
    let mut folders = vec![folder()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("it is a folder") {
            let path = entry.expect("it can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                assert!(expected.contains(&path), "nothing generates `{}`", path.display());
            }
        }
    }
}

#[test]
fn every_schema_is_complete_and_its_examples_are_valid() {
    for entry in catalog() {
        let path = entry.path;
        let validator = jsonschema::options()
            .should_validate_formats(true)
            .build(&entry.schema)
            .unwrap_or_else(|error| panic!("{path} is no schema: {error}"));
        for key in ["$schema", "$id", "title", "description"] {
            assert!(entry.schema[key].as_str().is_some_and(|text| !text.is_empty()), "{path} has no {key}");
        }
        let examples = entry.schema["examples"].as_array().expect("there are examples");
        assert!(!examples.is_empty(), "{path} has no example");
        for example in examples {
            if let Err(error) = validator.validate(example) {
                panic!("an example in {path} is not valid: {error}");
            }
        }
        assert!(!validator.is_valid(&Value::from(7)), "{path} takes anything");
        let properties = entry.schema["properties"].as_object().expect("it is an object");
        for (name, property) in properties {
            let is_documented = property.get("description").is_some() || property.get("$ref").is_some();
            assert!(is_documented, "{path}: `{name}` has no description");
        }
    }
}

/// The schema refuses what the code refuses: a publisher in another language needs nothing else.
#[test]
fn schema_and_code_refuse_the_same_requests() {
    let entry = catalog().into_iter().find(|entry| entry.path == "events/requested.json").expect("it is there");
    let validator = jsonschema::options().should_validate_formats(true).build(&entry.schema).expect("it is a schema");
    let subject = "render.0193a5c0-7c1e-7b3a-9d52-1f0c8a7be001.requested";
    let key = "renders/0193a5c0-7c1e-7b3a-9d52-1f0c8a7be001/audio.flac";
    let rows = [
        (r#"{"audio":{"key":"KEY"}}"#, true),
        (r#"{"audio":{"url":"https://example.com/a.wav"}}"#, true),
        (r#"{"audio":{"key":"KEY"},"fps":60,"mode":"mist","maxAttempts":10,"deadlineSeconds":60}"#, true),
        (r#"{"audio":{"key":"KEY"},"expiresAt":"2026-11-21T12:00:00.000Z"}"#, true),
        (r"{}", false),
        (r#"{"audio":{}}"#, false),
        (r#"{"audio":{"key":"secrets/audio.wav"}}"#, false),
        (r#"{"audio":{"key":"KEY"},"fps":24}"#, false),
        (r#"{"audio":{"key":"KEY"},"mode":"fire"}"#, false),
        (r#"{"audio":{"key":"KEY"},"outputFormat":"8k"}"#, false),
        (r#"{"audio":{"key":"KEY"},"maxAttempts":0}"#, false),
        (r#"{"audio":{"key":"KEY"},"maxAttempts":11}"#, false),
        (r#"{"audio":{"key":"KEY"},"deadlineSeconds":59}"#, false),
        (r#"{"audio":{"key":"KEY"},"deadlineSeconds":604801}"#, false),
        (r#"{"audio":{"key":"KEY"},"renderSettings":[]}"#, false),
        (r#"{"audio":{"key":"KEY"},"expiresAt":"tomorrow"}"#, false),
        (r#"{"audio":{"key":"KEY","sha256":"00"}}"#, false),
        (r#"{"audio":{"url":"ftp://example.com/a.wav"}}"#, false),
    ];
    for (spec, is_right) in rows {
        let payload = format!(r#"{{"spec":{}}}"#, spec.replace("KEY", key));
        let value: Value = serde_json::from_str(&payload).expect("it is JSON");
        let (_, event) = Event::read(subject, payload.as_bytes()).expect("it is a job's");
        assert_eq!(validator.is_valid(&value), is_right, "the schema about {payload}");
        assert_eq!(matches!(event, Event::Requested(_)), is_right, "the code about {payload}");
    }
}

/// `past/v1.jsonl` is append-only: a line for every shape that was ever published.
#[test]
fn what_was_ever_published_is_still_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("past/v1.jsonl");
    let text = fs::read_to_string(path).expect("the file is there");
    let mut kinds = BTreeSet::new();
    for (line, seq) in text.lines().zip(1..) {
        let line: Value = serde_json::from_str(line).expect("each line is JSON");
        let subject = line["subject"].as_str().expect("each line has a subject");
        let payload = line["payload"].to_string();
        let (_, event) = Event::read(subject, payload.as_bytes()).expect("each line is a job's");
        assert!(!matches!(event, Event::Corrupt(..) | Event::Unknown), "{subject} {payload} became {event:?}");
        kinds.extend(event.kind().map(events::Kind::name));
        let mut job = Job::default();
        let before = job.clone();
        job.absorb(&Recorded { seq, time: Timestamp::from_unix_ms(1), event });
        assert_ne!(job, before, "{subject} has no effect any more");
    }
    assert_eq!(kinds.len(), 8, "a kind is missing: {kinds:?}");
}
