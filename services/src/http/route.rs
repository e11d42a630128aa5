//! A route and everything that is said of it: one entry builds the router and the document, so neither can drift away.

use std::sync::Arc;

use axum::Router;
use axum::http::Method;
use axum::middleware;
use axum::routing::MethodRouter;
use schemars::generate::SchemaGenerator;
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use super::code::Code;
use super::gate::{self, Gate};
use crate::keys::Scope;

/// Which limits hold for a route; each class has its own, so that a flood of one leaves the others fast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Class {
    /// Long bodies that are streamed.
    Upload,
    /// Short bodies that are read whole.
    #[default]
    Json,
    /// No body, a short answer.
    Poll,
    /// An answer that stays open.
    Stream,
}

/// What a route does, for the router and for readers.
#[derive(Clone, Default)]
pub struct Operation {
    /// The method.
    pub method: Method,
    /// The path; a parameter stands in braces.
    pub path: &'static str,
    /// What generated clients call it.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// More, as plain text; may be empty.
    pub description: &'static str,
    /// Which limits hold.
    pub class: Class,
    /// What a key must allow; `None` needs no key.
    pub scope: Option<Scope>,
    /// Path, query and header.
    pub parameters: &'static [Parameter],
    /// What a body may be; empty means that there is none.
    pub body: Vec<Content>,
    /// Every answer that is no problem.
    pub answers: Vec<Answer>,
    /// Every problem that the handler may tell. Those of [`Operation::everywhere`] are added.
    pub problems: &'static [Code],
}

/// Something that a request may carry beside its body.
#[derive(Clone, Copy)]
pub struct Parameter {
    /// `path`, `query` or `header`.
    pub place: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub meaning: &'static str,
    /// What it may be.
    pub schema: fn() -> Value,
}

/// A type as a schema.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// A kind of body.
#[derive(Clone, Copy)]
pub enum Content {
    /// `application/json`.
    Json(SchemaOf),
    /// `multipart/form-data`: a part `request`, which is JSON and may be absent, and then the file `audio`.
    Form(SchemaOf),
    /// Text of this media type.
    Text(&'static str),
}

impl Content {
    /// JSON of this type.
    pub fn json<T: JsonSchema>() -> Self {
        Self::Json(SchemaGenerator::subschema_for::<T>)
    }

    /// A form whose part `request` is of this type.
    pub fn form<T: JsonSchema>() -> Self {
        Self::Form(SchemaGenerator::subschema_for::<T>)
    }
}

/// An answer that is no problem.
#[derive(Clone)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// What it says.
    pub meaning: &'static str,
    /// Its body, which may be of several kinds; empty means none.
    pub content: Vec<Content>,
    /// Its headers: name and meaning.
    pub headers: &'static [(&'static str, &'static str)],
    /// Where a client may go from here.
    pub links: &'static [Link],
}

/// What in an answer is a parameter of another operation.
#[derive(Clone, Copy)]
pub struct Link {
    /// The operation's name.
    pub operation: &'static str,
    /// The parameter's name.
    pub parameter: &'static str,
    /// Where its value stands, such as `$response.body#/jobId`.
    pub value: &'static str,
}

impl Answer {
    /// JSON of this type.
    pub fn json<T: JsonSchema>(status: u16, meaning: &'static str) -> Self {
        Self { content: vec![Content::json::<T>()], ..Self::empty(status, meaning) }
    }

    /// Text of this media type.
    pub fn text(meaning: &'static str, media_type: &'static str) -> Self {
        Self { content: vec![Content::Text(media_type)], ..Self::empty(200, meaning) }
    }

    /// No body.
    pub fn empty(status: u16, meaning: &'static str) -> Self {
        Self { status, meaning, content: Vec::new(), headers: &[], links: &[] }
    }
}

impl Operation {
    /// With what performs it.
    pub fn by<S>(self, handler: MethodRouter<S>) -> Route<S> {
        Route { operation: self, handler }
    }

    /// Every problem that a client may see here.
    pub fn codes(&self) -> Vec<Code> {
        let mut codes = self.problems.to_vec();
        codes.extend(self.everywhere());
        codes.sort_unstable();
        codes.dedup();
        codes
    }

    /// What is refused before any handler.
    fn everywhere(&self) -> impl Iterator<Item = Code> {
        let keys = self.scope.map(|_| [Code::Unauthorized, Code::Forbidden, Code::RateLimited, Code::LogFenced]);
        let body = (!self.body.is_empty()).then_some([Code::Timeout, Code::TooLarge]);
        let always = [Code::BadRequest, Code::Internal, Code::Overloaded];
        keys.into_iter().flatten().chain(body.into_iter().flatten()).chain(always)
    }
}

/// An operation and its handler.
pub struct Route<S> {
    /// What it does.
    pub operation: Operation,
    handler: MethodRouter<S>,
}

/// The router of these routes, behind this gate.
pub fn router<S: Clone + Send + Sync + 'static>(routes: Vec<Route<S>>, gate: &Gate) -> Router<S> {
    routes.into_iter().fold(Router::new(), |router, Route { operation, handler }| {
        let path = operation.path;
        let state = Arc::new((gate.clone(), operation));
        router.route(path, handler.route_layer(middleware::from_fn_with_state(state, gate::pass)))
    })
}
