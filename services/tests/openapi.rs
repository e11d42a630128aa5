//! The document and the server say the same.

use std::collections::BTreeSet;
use std::path::Path;

use axum::http::Method;
use kiln::api;
use serde_json::Value;

use crate::world::TestWorld;

/// Every method, path and description of the document.
fn operations(document: &Value) -> Vec<(Method, String, Value)> {
    let paths = document["paths"].as_object().expect("there are paths");
    let all = paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().expect("a path has methods").iter();
        methods.map(move |(method, operation)| {
            let method = method.to_uppercase().parse().expect("it is a method");
            (method, path.clone(), operation.clone())
        })
    });
    all.collect()
}

fn address(path: &str) -> String {
    path.replace("{job}", "0193a5c0-7c1e-7b3a-9d52-1f0c8a7be001").replace("{letter}", "1")
}

#[test]
fn generated_openapi_says_what_the_routes_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/openapi.json");
    let text = serde_json::to_string_pretty(&api::document()).expect("it is JSON") + "\n";
    expectorate::assert_contents(path, &text);
}

#[test]
fn every_operation_is_described_and_every_reference_leads_somewhere() {
    let document = api::document();
    let mut names = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let name = operation["operationId"].as_str().expect("it has a name").to_owned();
        assert!(names.insert(name.clone()), "two operations are `{name}`");
        assert!(operation["summary"].as_str().is_some_and(|summary| !summary.is_empty()), "{method} {path}");
        let answers = operation["responses"].as_object().expect("it is answered");
        assert!(answers.keys().any(|status| status.starts_with('2')), "{method} {path} never succeeds");
        let links = answers.values().filter_map(|answer| answer["links"].as_object()).flatten();
        for (_, link) in links {
            let to = &link["operationId"];
            assert!(operations(&document).iter().any(|(_, _, other)| other["operationId"] == *to), "{to}");
        }
        let in_path: BTreeSet<&str> = path.split(['{', '}']).skip(1).step_by(2).collect();
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let in_path_too = parameters.filter(|parameter| parameter["in"] == "path");
        let named: BTreeSet<&str> = in_path_too.filter_map(|parameter| parameter["name"].as_str()).collect();
        assert_eq!(in_path, named, "{method} {path}");
    }
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().expect("a reference is a text");
        assert!(document.pointer(pointer).is_some(), "{pointer} is nowhere");
    }
    for (name, schema) in document["components"]["schemas"].as_object().expect("there are schemas") {
        jsonschema::meta::validate(schema).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[tokio::test]
async fn every_documented_route_is_served_and_no_other() {
    let world = TestWorld::start().await;
    let document: Value =
        world.http.get(world.url("/openapi.json")).send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(document, api::document());
    for (method, path, operation) in operations(&document) {
        let request = world.http.request(method.clone(), world.url(&address(&path)));
        let response = request.send().await.expect("it is answered");
        let status = response.status().as_u16();
        assert!(!operation["responses"][status.to_string()].is_null(), "{method} {path} answers {status}");
        let body = response.text().await.expect("it has a body");
        assert!(status != 404 || body.contains("no such"), "{method} {path} is not served: {body}");
    }
    let paths: BTreeSet<String> = operations(&document).into_iter().map(|(_, path, _)| path).collect();
    for path in paths {
        let request = world.http.request(Method::TRACE, world.url(&address(&path)));
        let response = request.send().await.expect("it is answered");
        assert_eq!(response.status(), 405, "{path}");
        let allowed = response.headers()["allow"].to_str().expect("it is text");
        let mut served: BTreeSet<&str> = allowed.split(',').map(str::trim).collect();
        served.remove("HEAD");
        // A container's, and not in the clients' document.
        served.remove("PATCH");
        let documented = operations(&document).into_iter().filter(|(_, other, _)| *other == path);
        let documented: Vec<Method> = documented.map(|(method, _, _)| method).collect();
        assert_eq!(served, documented.iter().map(Method::as_str).collect(), "{path}");
    }
    world.stop().await;
}

#[tokio::test]
async fn the_page_names_every_operation_and_needs_no_other_host() {
    let world = TestWorld::start().await;
    let response = world.http.get(world.url("/docs")).send().await.expect("an answer");
    let policy = response.headers()["content-security-policy"].to_str().expect("it is text").to_owned();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    let page = response.text().await.expect("a page");
    for (_, path, operation) in operations(&api::document()) {
        let name = operation["operationId"].as_str().expect("it has a name");
        assert!(page.contains(&format!("id=\"{name}\"")) && page.contains(&path), "{name}");
    }
    assert!(!page.contains("<script") && !page.contains("http://") && !page.contains("https://"), "{page}");
    world.stop().await;
}
