//! What `services/deploy` says, held against what there is; and a stack that is started as it says.

mod image;
mod stack;
mod unit;

use std::collections::BTreeSet;
use std::process::Command;

use unit::{Unit, deploy, read, set, variables};

use crate::support::kiln;

/// What `kiln … --help` says; the command must be one.
fn help(words: &[&str]) -> String {
    let output = Command::new(kiln()).args(words).arg("--help").output().expect("kiln runs");
    assert!(output.status.success(), "`kiln {}` is no command", words.join(" "));
    String::from_utf8(output.stdout).expect("text").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The variables that a command knows.
fn known(words: &[&str]) -> BTreeSet<String> {
    let text = help(words);
    let rest = text.split("[env: ").skip(1);
    rest.map(|rest| rest.split(['=', ']']).next().expect("a name").to_owned()).collect()
}

/// Those without which it does not start.
fn required(words: &[&str]) -> BTreeSet<String> {
    let text = help(words);
    let usage = text.split("Usage: ").nth(1).expect("a usage").split("Options:").next().expect("a usage");
    let known = known(words);
    let names = usage.split('<').skip(1).filter_map(|rest| rest.split('>').next());
    names.map(str::to_owned).filter(|name| known.contains(name)).collect()
}

#[test]
fn the_files_of_variables_name_all_that_a_role_knows_and_nothing_else() {
    for name in ["kiln@api", "kiln@webhook", "kiln@worker", "kiln@projector", "kiln-provision"] {
        let unit = Unit::open(name);
        let command = unit.one("ExecStart").strip_prefix("/usr/local/bin/kiln ").expect("kiln").to_owned();
        let mut named = BTreeSet::new();
        for file in unit.examples() {
            for (variable, _, _) in variables(&read(&file)) {
                assert!(named.insert(variable.clone()), "{name}: {variable} is there twice");
            }
        }
        // `configure` appends these.
        let mut known = known(&[&command]);
        for secret in ["NATS_PASSWORD", "INTERNAL_WEBHOOK_SECRET"] {
            assert!(!named.contains(secret), "{name}: an example has no {secret}");
            known.remove(secret);
        }
        assert!(named.remove("RUST_LOG"), "{name}");
        assert_eq!(named, known, "{name}");
    }
}

#[test]
fn a_unit_is_given_time_to_end_and_no_more_than_it_needs() {
    for name in ["kiln-nats", "kiln-provision", "kiln@api"] {
        let unit = Unit::open(name);
        for key in ["DynamicUser", "NoNewPrivileges", "PrivateDevices", "RestrictSUIDSGID"] {
            assert_eq!(unit.one(key), "yes", "{name}: {key}");
        }
        assert_eq!((unit.one("ProtectSystem"), unit.one("CapabilityBoundingSet")), ("strict", ""), "{name}");
        assert_eq!(unit.one("StartLimitIntervalSec"), "0", "{name}: it never gives up");
    }
    let role = Unit::open("kiln@api");
    assert_eq!((role.role(), role.one("User"), role.one("StateDirectory")), ("api", "kiln-api", "kiln-api"));
    assert!(role.seconds("TimeoutStopSec") > std::time::Duration::from_secs(30));
    assert_eq!(role.one("LimitNOFILE"), "65536");
    let after: Vec<_> = role.one("After").split(' ').collect();
    assert!(["kiln-nats.service", "kiln-provision.service"].iter().all(|unit| after.contains(unit)), "{after:?}");

    // The keys are made as the user that reads them.
    let keys = read(&deploy().join("systemd/kiln-keys"));
    for key in ["DynamicUser", "User", "StateDirectory", "StateDirectoryMode"] {
        assert!(keys.contains(&format!("-p {key}={}", role.one(key))), "{key}");
    }
    let file = &set(&read(&deploy().join("etc/api.env")))["KILN_API_KEYS_FILE"];
    assert_eq!(file, "/var/lib/kiln-api/keys.json");
}

#[test]
fn every_password_that_the_server_asks_for_is_made_once_and_given_to_its_user() {
    let folder = tempfile::tempdir().expect("a folder");
    let etc = folder.path().join("etc");
    let configure = || Command::new("sh").arg(deploy().join("configure")).arg(&etc).output().expect("a shell").status;
    assert!(configure().success());
    let made = set(&read(&etc.join("nats.env")));
    let auth = read(&etc.join("nats/auth.conf"));
    let asked = auth.lines().filter(|line| line.contains("{ user: ") && !line.trim_start().starts_with('#'));
    let asked: BTreeSet<_> = asked.filter_map(|line| line.split(['$', ',']).nth(2)).map(str::to_owned).collect();
    assert_eq!(made.keys().cloned().collect::<BTreeSet<_>>(), asked);
    assert_eq!(made.values().collect::<BTreeSet<_>>().len(), made.len(), "each has one of its own");
    for user in ["api", "worker", "webhook", "projector", "operator"] {
        let file = set(&read(&etc.join(format!("{user}.env"))));
        assert_eq!(
            (&*file["NATS_USER"], &file["NATS_PASSWORD"]),
            (user, &made[&format!("KILN_{}_PASSWORD", user.to_uppercase())])
        );
    }
    let root = |role: &str| set(&read(&etc.join(format!("{role}.env")))).remove("INTERNAL_WEBHOOK_SECRET");
    assert!(root("worker").is_some() && root("worker") == root("webhook") && root("api").is_none());
    for file in std::fs::read_dir(&etc).expect("a folder").map(|entry| entry.expect("an entry")) {
        let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().expect("it is there").permissions());
        assert!(file.path().is_dir() || mode % 0o100 == 0, "{} is everybody's: {mode:o}", file.path().display());
    }
    assert!(!configure().success(), "secrets in use are never replaced");
    assert_eq!(set(&read(&etc.join("nats.env"))), made);
}

#[test]
fn the_readme_names_commands_files_and_recipes_that_exist() {
    let top = deploy().join("../..");
    let (readme, recipes) = (read(&top.join("README.md")), read(&top.join("nats/recipes.md")));
    let chapter =
        readme.split("\n## In production\n").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("a chapter");
    let backups: Vec<_> = chapter.lines().filter(|line| line.starts_with("    nats ")).collect();
    assert!(backups.len() >= 2 && backups.iter().all(|line| recipes.contains(line.trim_start())), "{backups:?}");
    let is_word = |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let mut commands = BTreeSet::new();
    for command in chapter.split("`kiln ").skip(1).filter_map(|rest| rest.split('`').next()) {
        let words: Vec<_> = command.split(' ').take_while(is_word).collect();
        if !words.is_empty() && commands.insert(words.clone()) {
            help(&words);
        }
    }
    assert!(commands.len() > 6, "{commands:?}");
    let is_end = |character: char| character.is_whitespace() || "`();".contains(character);
    let paths = chapter.split(is_end).filter(|word| word.starts_with("services/") || word.starts_with("nats/"));
    for path in paths {
        let path = path.replace("*.service", "kiln-nats.service").replace("{a,b,c}", "a");
        assert!(top.join(&path).exists(), "{path}");
    }
}
