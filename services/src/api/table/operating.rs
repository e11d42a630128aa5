//! For those who run a kiln, and what is said of the api itself.

use axum::http::Method;
use axum::routing::{get, post};
use events::wire::operator::{DeadLetterList, Health, Redriven, WholeDeadLetter};
use serde_json::{Value, json};

use super::{CURSOR, LIMIT, STALE};
use crate::api::{Api, health, letters, openapi};
use crate::http::code::Code::{NotFound, NotRedrivable, Unavailable};
use crate::http::route::{Answer, Class, Link, Operation, Parameter, Route};
use crate::keys::Scope;

const LETTER: Parameter = Parameter {
    place: "path",
    name: "letter",
    meaning: "The letter's id.",
    schema: || json!({"type": "string", "pattern": "^[1-9][0-9]{0,19}$"}),
};

const TO_LETTER: &[Link] = &[Link { operation: "redrive", parameter: "letter", value: "$response.body#/id" }];

pub(super) fn routes() -> Vec<Route<Api>> {
    let health = Operation {
        path: "/api/health",
        name: "health",
        summary: "See how kiln is",
        description: "For people; a program that wants to know whether to send work asks `/readyz`.",
        class: Class::Poll,
        scope: Some(Scope::Read),
        answers: vec![Answer {
            headers: &[STALE],
            ..Answer::json::<Health>(200, "How it is, also when it is not well.")
        }],
        ..Operation::default()
    };
    let list = Operation {
        path: "/api/deadletters",
        name: "deadLetters",
        summary: "List the dead letters, the newest first",
        description: "A dead letter is a copy of a message that nobody could read. Nothing waits for it.",
        class: Class::Poll,
        scope: Some(Scope::Read),
        parameters: &[LIMIT, CURSOR],
        answers: vec![Answer { headers: &[STALE], ..Answer::json::<DeadLetterList>(200, "A page of letters.") }],
        problems: &[Unavailable],
        ..Operation::default()
    };
    let show = Operation {
        path: "/api/deadletters/{letter}",
        name: "deadLetter",
        summary: "Read a dead letter",
        class: Class::Poll,
        scope: Some(Scope::Read),
        parameters: &[LETTER],
        answers: vec![Answer {
            headers: &[STALE],
            links: TO_LETTER,
            ..Answer::json::<WholeDeadLetter>(200, "The letter.")
        }],
        problems: &[NotFound, Unavailable],
        ..Operation::default()
    };
    let redrive = Operation {
        method: Method::POST,
        path: "/api/deadletters/{letter}/redrive",
        name: "redrive",
        summary: "Have a dead letter's message read again",
        description: "When its cause is mended. The projectors read the log again from where the message lies; what comes \
                      after it comes again, too, without effect.",
        class: Class::Json,
        scope: Some(Scope::Admin),
        parameters: &[LETTER],
        answers: vec![Answer::json::<Redriven>(202, "It is read again.")],
        problems: &[NotFound, NotRedrivable, Unavailable],
        ..Operation::default()
    };
    vec![
        health.by(get(health::health)),
        list.by(get(letters::list)),
        show.by(get(letters::show)),
        redrive.by(post(letters::redrive)),
    ]
}

/// What is said of the api itself.
pub(super) fn reading() -> Vec<Route<Api>> {
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
