//! What clients may ask, as an `OpenAPI` document, made of the routes' table.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::http::header;
use axum::response::{Html, IntoResponse};
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use super::{docs, table};
use crate::http::health_operations;
use crate::http::route::{Answer, Content, Operation, Parameter};

/// Where the schemas are in the document.
const SCHEMAS: &str = "/components/schemas";

/// The `OpenAPI` 3.1 document of everything that clients may ask.
pub fn document() -> Value {
    let mut schemas = Schemas::new();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for operation in operations() {
        let method = operation.method.as_str().to_lowercase();
        paths.entry(operation.path).or_default().insert(method, schemas.operation(&operation));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "kiln",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Durable GPU render jobs: audio in, video out.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas.into_components(),
            "securitySchemes": {"key": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "kiln_…",
                "description": "An API key, made by `kiln keys create`. A server without keys serves its own machine alone.",
            }},
        },
    })
}

/// `GET /openapi.json`
pub(super) async fn serve() -> impl IntoResponse {
    static TEXT: LazyLock<String> = LazyLock::new(|| document().to_string());
    ([(header::CONTENT_TYPE, "application/json")], TEXT.as_str())
}

/// `GET /docs`
pub(super) async fn serve_page() -> impl IntoResponse {
    static PAGE: LazyLock<(String, String)> = LazyLock::new(|| (docs::policy(), docs::page(&document())));
    let (policy, page) = &*PAGE;
    ([(header::CONTENT_SECURITY_POLICY, policy.as_str())], Html(page.as_str()))
}

/// All that is documented, health included.
fn operations() -> Vec<Operation> {
    let routes = table::routes().into_iter().map(|route| route.operation);
    routes.chain(health_operations()).collect()
}

/// The types of both directions: what we take may leave out what we always give.
struct Schemas {
    taken: SchemaGenerator,
    given: SchemaGenerator,
}

impl Schemas {
    fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = SCHEMAS.into());
        let taken = settings.clone().for_deserialize().into_generator();
        Self { taken, given: settings.for_serialize().into_generator() }
    }

    fn operation(&mut self, operation: &Operation) -> Value {
        let mut value = json!({
            "operationId": operation.name,
            "summary": operation.summary,
            "responses": self.responses(operation),
        });
        if !operation.description.is_empty() {
            value["description"] = operation.description.into();
        }
        if !operation.parameters.is_empty() {
            value["parameters"] = operation.parameters.iter().map(parameter).collect();
        }
        if !operation.body.is_empty() {
            value["requestBody"] = json!({"required": true, "content": contents(&mut self.taken, &operation.body)});
        }
        if let Some(scope) = operation.scope {
            value["security"] = json!([{"key": [scope.name()]}]);
        }
        value
    }

    fn responses(&mut self, operation: &Operation) -> Map<String, Value> {
        let answers = operation.answers.iter().map(|answer| (answer.status.to_string(), self.answer(answer)));
        let mut responses: Map<String, Value> = answers.collect();
        let mut problems: BTreeMap<u16, Vec<_>> = BTreeMap::new();
        for code in operation.codes() {
            problems.entry(code.status().as_u16()).or_default().push(code);
        }
        for (status, codes) in problems {
            let meanings: Vec<String> =
                codes.iter().map(|code| format!("`{}`: {}", code.word(), code.meaning())).collect();
            let words: Vec<&str> = codes.iter().map(|code| code.word()).collect();
            let schema = json!({
                "allOf": [self.given.subschema_for::<events::wire::client::Problem>()],
                "properties": {"status": {"const": status}, "code": {"enum": words}},
            });
            let mut response = json!({
                "description": meanings.join("\n\n"),
                "headers": headers(&[]),
                "content": {"application/problem+json": {"schema": schema}},
            });
            if matches!(status, 429 | 503) {
                response["headers"] = headers(&[("Retry-After", "Seconds to wait before the next try.")]);
            }
            responses.insert(status.to_string(), response);
        }
        responses
    }

    fn answer(&mut self, answer: &Answer) -> Value {
        let mut value = json!({"description": answer.meaning, "headers": headers(answer.headers)});
        if !answer.content.is_empty() {
            value["content"] = contents(&mut self.given, &answer.content);
        }
        for link in answer.links {
            value["links"][link.operation] =
                json!({"operationId": link.operation, "parameters": {link.parameter: link.value}});
        }
        value
    }

    /// A type that is in both directions must be the same in both.
    fn into_components(mut self) -> Map<String, Value> {
        let mut all = self.taken.take_definitions(true);
        for (name, schema) in self.given.take_definitions(true) {
            let other = all.insert(name.clone(), schema);
            debug_assert!(other.is_none_or(|other| other == all[&name]), "`{name}` has two meanings");
        }
        all
    }
}

fn parameter(parameter: &Parameter) -> Value {
    let mut value = json!({
        "in": parameter.place,
        "name": parameter.name,
        "description": parameter.meaning,
        "required": parameter.place == "path",
        "schema": (parameter.schema)(),
    });
    if parameter.place == "query" {
        // An empty one counts as absent.
        value["allowEmptyValue"] = true.into();
    }
    value
}

fn headers(own: &[(&str, &str)]) -> Value {
    let every = [("X-Request-Id", "The request's name in kiln's log.")];
    let all = own.iter().chain(&every);
    all.map(|(name, meaning)| ((*name).to_owned(), json!({"description": meaning, "schema": {"type": "string"}})))
        .collect::<Map<String, Value>>()
        .into()
}

fn contents(generator: &mut SchemaGenerator, contents: &[Content]) -> Value {
    contents.iter().map(|content| self::content(generator, *content)).collect::<Map<String, Value>>().into()
}

fn content(generator: &mut SchemaGenerator, content: Content) -> (String, Value) {
    match content {
        Content::Json(schema) => ("application/json".into(), json!({"schema": schema(generator)})),
        Content::Text(media_type) => (media_type.into(), json!({"schema": {"type": "string"}})),
        Content::Form(schema) => {
            let audio =
                json!({"description": "The file; after `request`.", "contentMediaType": "application/octet-stream"});
            let schema = json!({
                "type": "object",
                "properties": {"request": schema(generator), "audio": audio},
                "required": ["audio"],
                "additionalProperties": false,
            });
            let encoding = json!({"request": {"contentType": "application/json"}});
            ("multipart/form-data".into(), json!({"schema": schema, "encoding": encoding}))
        }
    }
}
