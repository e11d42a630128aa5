//! A page for people, made of the document alone: no script, and nothing from another host.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("docs.css");

/// The page.
pub(super) fn page(document: &Value) -> String {
    let mut contents = String::new();
    let mut sections = String::new();
    for (path, method, operation) in operations(document) {
        let name = text(&operation["operationId"]);
        let title = format!("<b>{}</b> {}", method.to_uppercase(), escape(path));
        let summary = prose(text(&operation["summary"]));
        let _ = write!(contents, "<li><a href=\"#{name}\">{title}</a> {summary}</li>");
        let _ = write!(sections, "<section id=\"{name}\"><h2>{title}</h2>{}</section>", section(operation));
    }
    let schemas: String =
        members(&document["components"]["schemas"]).map(|(name, schema)| definition(name, schema)).collect();
    let key = &document["components"]["securitySchemes"]["key"];
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>kiln</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style>\
         <h1>kiln</h1><p>{}</p><p><code>Authorization: Bearer {}</code> {}</p>\
         <p>The same for programs: <a href=\"/openapi.json\">/openapi.json</a></p>\
         <ul>{contents}</ul>{sections}<h2>Types</h2>{schemas}</html>\n",
        prose(text(&document["info"]["summary"])),
        escape(text(&key["bearerFormat"])),
        prose(text(&key["description"])),
    )
}

/// Allows the page its own style, and nothing else.
pub(super) fn policy() -> String {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    members(&document["paths"])
        .flat_map(|(path, methods)| members(methods).map(move |(method, operation)| (path, method, operation)))
}

fn section(operation: &Value) -> String {
    let mut html = format!("<p>{}. {}</p>", prose(text(&operation["summary"])), prose(text(&operation["description"])));
    if let Some(scope) = operation["security"][0]["key"][0].as_str() {
        let _ = write!(html, "<p>Needs a key with the scope <code>{scope}</code>.</p>");
    }
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let rows: String = parameters
        .map(|parameter| {
            let (name, place) = (text(&parameter["name"]), text(&parameter["in"]));
            let kind = kind(&parameter["schema"]);
            row(&[&format!("<code>{name}</code>"), place, &kind, &prose(text(&parameter["description"]))])
        })
        .collect();
    html += &table("Parameters", &rows);
    let bodies: String = members(&operation["requestBody"]["content"])
        .map(|(media, body)| row(&[&format!("<code>{media}</code>"), &kind(&body["schema"])]))
        .collect();
    html += &table("Body", &bodies);
    let answers: String = members(&operation["responses"])
        .map(|(status, answer)| {
            let kinds: Vec<String> = members(&answer["content"])
                .map(|(media, body)| format!("<code>{media}</code> {}", kind(&body["schema"])))
                .collect();
            row(&[status, &prose(text(&answer["description"])), &kinds.join("<br>")])
        })
        .collect();
    html + &table("Answers", &answers)
}

fn definition(name: &str, schema: &Value) -> String {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let fields: String = members(&schema["properties"])
        .map(|(field, schema)| {
            let need = if required.contains(&field) { "always" } else { "" };
            row(&[&format!("<code>{field}</code>"), &kind(schema), need, &prose(text(&schema["description"]))])
        })
        .collect();
    let words: String = schema["oneOf"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|word| word.get("const").is_some())
        .map(|word| row(&[&format!("<code>{}</code>", text(&word["const"])), &prose(text(&word["description"]))]))
        .collect();
    let own_kind = if fields.is_empty() && words.is_empty() { kind(schema) } else { String::new() };
    let about = prose(text(&schema["description"]));
    format!(
        "<section id=\"{name}\"><h3>{name}</h3><p>{about} {own_kind}</p>{}</section>",
        table("", &(fields + &words))
    )
}

/// What a schema takes, in a few words.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return format!("<a href=\"#{name}\">{name}</a>");
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        if let Some(kinds) = schema[key].as_array() {
            return kinds.iter().map(kind).collect::<Vec<_>>().join(" or ");
        }
    }
    if let Some(word) = schema.get("const") {
        return format!("<code>{}</code>", escape(&word.to_string()));
    }
    if let Some(words) = schema["enum"].as_array() {
        let words = words.iter().map(|word| format!("<code>{}</code>", escape(&word.to_string())));
        return words.collect::<Vec<_>>().join(" ");
    }
    if schema["properties"].is_object() {
        let fields = members(&schema["properties"]);
        let fields = fields.map(|(name, schema)| format!("<code>{name}</code> {}", kind(schema)));
        return fields.collect::<Vec<_>>().join(", ");
    }
    let own = match &schema["type"] {
        Value::Array(names) => names.iter().map(text).collect::<Vec<_>>().join(" or "),
        name => text(name).to_owned(),
    };
    let items = if schema["items"].is_object() { format!(" of {}", kind(&schema["items"])) } else { String::new() };
    let bounds = ["format", "pattern", "minimum", "maximum", "minLength", "maxLength"].into_iter().filter_map(|key| {
        let bound = schema.get(key)?;
        Some(format!(" <small>{key} {}</small>", escape(&bound.as_str().map_or(bound.to_string(), str::to_owned))))
    });
    own + &items + &bounds.collect::<String>()
}

fn members(object: &Value) -> impl Iterator<Item = (&str, &Value)> {
    object.as_object().into_iter().flat_map(Map::iter).map(|(name, value)| (name.as_str(), value))
}

fn table(title: &str, rows: &str) -> String {
    match (title, rows) {
        (_, "") => String::new(),
        ("", rows) => format!("<table>{rows}</table>"),
        (title, rows) => format!("<h3>{title}</h3><table>{rows}</table>"),
    }
}

fn row(cells: &[&str]) -> String {
    let cells: String = cells.iter().flat_map(|cell| ["<td>", cell, "</td>"]).collect();
    format!("<tr>{cells}</tr>")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Text with `code` in it; the brackets of links that only the source has are left out.
fn prose(text: &str) -> String {
    let escaped = escape(&text.replace("[`", "`").replace("`]", "`")).replace("\n\n", "<br>");
    let pieces = escaped.split('`').enumerate();
    pieces.map(|(n, piece)| if n % 2 == 1 { format!("<code>{piece}</code>") } else { piece.to_owned() }).collect()
}
