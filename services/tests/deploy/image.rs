//! The image and the containers made of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use nats::tool::NATS_SERVER;
use serde_json::Value;

use super::unit::{deploy, read, set};
use super::{help, known, required};
use crate::python::yaml;

fn top() -> PathBuf {
    deploy().join("../..")
}

/// The instructions of the Dockerfile, without comments: the word, and what follows it.
fn instructions() -> Vec<(String, String)> {
    let text = read(&deploy().join("Dockerfile"));
    let text = text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.map(|(word, rest)| (word.to_owned(), rest.to_owned())).collect()
}

/// A list as JSON, as `CMD` and its like have it.
fn words(list: &str) -> Vec<String> {
    serde_json::from_str(list).unwrap_or_else(|error| panic!("{list}: {error}"))
}

#[test]
fn the_image_is_built_of_what_is_there_without_the_embedded_world_and_runs_as_nobody() {
    let instructions = instructions();
    let all = |word: &str| -> Vec<&str> {
        instructions.iter().filter(|(name, _)| name == word).map(|(_, rest)| rest.as_str()).collect()
    };
    let manifest = read(&top().join("Cargo.toml"));
    let rust = manifest.split("rust-version = \"").nth(1).and_then(|rest| rest.split('"').next()).expect("a version");
    assert_eq!(all("FROM")[0], format!("rust:{rust}-slim-bookworm AS build"));
    assert!(all("FROM").iter().all(|image| is_pinned(image.split(' ').next().expect("a name"))), "{:?}", all("FROM"));
    let copied: BTreeSet<_> = all("COPY").iter().flat_map(|line| line.split(' ').rev().skip(1)).collect();
    for source in copied.iter().filter(|source| !source.starts_with("--") && **source != "/out") {
        assert!(top().join(source).exists(), "{source}");
    }
    let members: Vec<_> = manifest
        .split("members = [")
        .nth(1)
        .and_then(|rest| rest.split(']').next())
        .expect("a list")
        .split(", ")
        .collect();
    assert!(members.iter().all(|member| copied.contains(member.trim_matches('"'))), "{members:?}");
    assert!(all("RUN")[0].contains("cargo build --release --locked --no-default-features -p kiln"));
    assert_eq!(all("USER"), ["65532:65532"]);
    assert_eq!(words(all("ENTRYPOINT")[0]), ["kiln"]);
    help(&words(all("CMD")[0]).iter().map(String::as_str).collect::<Vec<_>>());
    let check = words(all("HEALTHCHECK")[0].split("CMD ").nth(1).expect("a command"));
    assert_eq!(check[0], "kiln");
    help(&check[1..].iter().map(String::as_str).collect::<Vec<_>>());
    let knows: BTreeSet<_> = ["api", "worker", "keys"].iter().flat_map(|command| known(&[command])).collect();
    for (name, value) in all("ENV")[0].split(' ').filter_map(|setting| setting.split_once('=')) {
        assert!(knows.contains(name) && (!name.ends_with("LISTEN") || value.ends_with(":7700")), "{name}={value}");
    }
    let ignored = read(&deploy().join("Dockerfile.dockerignore"));
    let sent: BTreeSet<_> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    assert!(["Cargo.toml", "Cargo.lock", "events", "nats", "services"].iter().all(|name| sent.contains(name)));
}

/// By a version with two dots or more.
fn is_pinned(image: &str) -> bool {
    image.rsplit_once(':').is_some_and(|(_, tag)| tag.split('-').next().is_some_and(|version| version.contains('.')))
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().map(|list| list.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

/// The variables that a container has, those of its files before those of its own.
fn environment(service: &Value) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for file in strings(&service["env_file"]) {
        let name = file.strip_prefix("${KILN_ETC:-/etc/kiln}/").expect("a file that `configure` makes");
        all.extend(set(&read(&deploy().join("etc").join(name))));
    }
    let own = service["environment"].as_object().into_iter().flatten();
    all.extend(own.map(|(name, value)| (name.clone(), value.as_str().expect("text").to_owned())));
    all
}

#[test]
fn the_containers_run_commands_that_exist_with_variables_that_are_known_and_are_reached_from_this_machine_alone() {
    let file = yaml(&deploy().join("compose.yaml"));
    let services = file["services"].as_object().expect("services");
    for (name, service) in services {
        let image = service["image"].as_str().expect("an image");
        assert!(is_pinned(image), "{image}");
        for port in strings(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port}");
        }
        for volume in strings(&service["volumes"]) {
            let source = volume.split(':').next().expect("a source");
            let is_there = if source.starts_with('.') {
                deploy().join(source).exists()
            } else {
                file["volumes"].get(source).is_some()
            };
            assert!(is_there, "{name}: {volume}");
        }
        for needed in service["depends_on"].as_object().into_iter().flatten() {
            assert!(services.contains_key(needed.0), "{name} needs {}", needed.0);
        }
        assert_eq!(service["security_opt"], serde_json::json!(["no-new-privileges:true"]), "{name}");
        assert_eq!(service["cap_drop"], serde_json::json!(["ALL"]), "{name}");
        if name == "nats" {
            continue;
        }
        assert_eq!((&service["read_only"], &service["stop_grace_period"]), (&true.into(), &"45s".into()), "{name}");
        assert!(
            deploy()
                .join(service["build"]["context"].as_str().expect("a folder"))
                .join(service["build"]["dockerfile"].as_str().expect("a file"))
                .exists()
        );
        let command = strings(&service["command"]);
        let (has, known, needs) = (environment(service), known(&command), required(&command));
        let secrets = ["NATS_PASSWORD", "INTERNAL_WEBHOOK_SECRET"];
        assert!(has.keys().all(|name| known.contains(name)), "{name}: {has:?}");
        assert!(
            needs.iter().all(|needed| has.contains_key(needed) || secrets.contains(&needed.as_str())),
            "{name}: {needs:?}"
        );
        assert_eq!(has["NATS_URL"], "nats://nats:4222", "{name}");
        let listens = ["KILN_LISTEN", "KILN_HEALTH_LISTEN"].iter().find_map(|name| has.get(*name));
        assert!(listens.is_none_or(|address| address == "0.0.0.0:7700"), "{name}: the health check asks there");
    }
    for (role, user) in [
        ("api", "api"),
        ("webhook", "webhook"),
        ("worker", "worker"),
        ("projector", "projector"),
        ("provision", "operator"),
    ] {
        assert_eq!(environment(&services[role])["NATS_USER"], user);
    }
}

#[test]
fn the_server_in_its_container_takes_the_configuration_that_is_mounted() {
    let file = yaml(&deploy().join("compose.yaml"));
    let nats = &file["services"]["nats"];
    assert_eq!(nats["image"], format!("nats:{}-alpine", NATS_SERVER.minimum));
    let is_inner = file["networks"]["log"]["internal"] == true && strings(&nats["networks"]) == ["log"];
    assert!(is_inner, "the monitoring port asks nobody who they are");
    let folder = tempfile::tempdir().expect("a folder");
    for volume in strings(&nats["volumes"]).into_iter().filter(|volume| volume.starts_with('.')) {
        let (source, place) = volume.split_once(':').expect("a source and a place");
        let place = place.strip_prefix("/etc/kiln/").and_then(|place| place.strip_suffix(":ro")).expect("read only");
        copy(&deploy().join(source), &folder.path().join(place));
    }
    let command = strings(&nats["command"]).join(" ").replace("/etc/kiln", &folder.path().to_string_lossy());
    let (_, arguments) = command.split_once(' ').expect("arguments");
    let passwords = ["API", "WORKER", "WEBHOOK", "PROJECTOR", "OPERATOR", "SERVE", "PUBLISHER"];
    let mut server = std::process::Command::new(NATS_SERVER.find(&|_| ()).expect("a nats-server"));
    server
        .args(arguments.split(' '))
        .arg("-t")
        .env("KILN_NATS_STORE", nats["environment"]["KILN_NATS_STORE"].as_str().expect("a folder"));
    let output =
        server.envs(passwords.map(|user| (format!("KILN_{user}_PASSWORD"), "secret"))).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(read(&folder.path().join("server/single.conf")).contains("\n  sync_interval: always\n"));
}

fn copy(from: &Path, to: &Path) {
    let status = std::process::Command::new("cp").arg("-R").args([from, to]).status();
    assert!(status.expect("cp").success(), "{}", from.display());
}
