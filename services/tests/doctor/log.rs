//! What the log stands on.

use std::process::Stdio;

use events::Secret;
use kiln::doctor::{self, Level};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::process::Command;

use super::{Clinic, expect, log_of};
use crate::support::{kiln, nowhere};

#[tokio::test]
async fn where_all_is_well_every_check_says_so() {
    let clinic = Clinic::new().await;
    let found = clinic.examine().await;
    // The embedded store knows no rules; what it cannot tell is no fault.
    let rules = ["cors", "lifecycle"];
    for finding in &found {
        let expected = if rules.contains(&finding.check) { Level::Skipped } else { Level::Ok };
        assert_eq!(finding.level, expected, "{finding:?}");
    }
    let mut checks: Vec<_> = found.iter().map(|finding| finding.check).collect();
    checks.dedup();
    let expected = [
        "server",
        "login",
        "sync",
        "topology",
        "space",
        "clock",
        "rights",
        "fence",
        "lifecycle",
        "bucket",
        "addresses",
        "conditions",
        "clock",
        "cors",
        "modal",
        "webhook",
    ];
    assert_eq!(checks, expected);
    assert!(doctor::report(&found, false).1);
    assert_eq!(clinic.start(false).await, Ok(()));
}

#[tokio::test]
async fn a_log_that_can_lose_or_erase_facts_is_refused_by_the_name_of_its_setting() {
    let rows = [
        ("discard", json!("old")),
        ("deny_delete", json!(false)),
        ("deny_purge", json!(false)),
        ("allow_rollup_hdrs", json!(true)),
        ("allow_msg_ttl", json!(true)),
        ("allow_msg_schedules", json!(true)),
        ("max_msgs_per_subject", json!(2)),
        ("storage", json!("memory")),
    ];
    let clinic = Clinic::new().await;
    for (setting, value) in rows {
        clinic
            .remake_log(|config| {
                // The server allows some settings only together.
                if ["discard", "allow_msg_schedules"].contains(&setting) {
                    config.remove("discard_new_per_subject");
                    config.insert("discard".into(), json!("old"));
                }
                if ["allow_rollup_hdrs", "allow_msg_schedules"].contains(&setting) {
                    config.insert("allow_rollup_hdrs".into(), json!(true));
                    config.insert("deny_purge".into(), json!(false));
                }
                config.insert(setting.into(), value);
            })
            .await;
        expect(&clinic.examine().await, "topology", Level::Wrong, setting);
        let refused = clinic.start(false).await.expect_err(setting);
        assert!(refused.contains(setting) && refused.contains("--insecure-dev"), "{refused}");
        assert_eq!(clinic.start(true).await, Ok(()), "{setting}");
    }
    clinic.remake_log(|config| drop(config.insert("description".into(), json!("edited")))).await;
    expect(&clinic.examine().await, "topology", Level::Wrong, "description");
    assert_eq!(clinic.start(false).await, Ok(()), "readiness is red, and nothing can be lost");
}

#[tokio::test]
async fn a_server_that_acknowledges_before_it_writes_is_refused() {
    let mut clinic = Clinic::with(|options| options.sync_always = false).await;
    expect(&clinic.examine().await, "sync", Level::Wrong, "sync_interval: always");
    let refused = clinic.start(false).await.expect_err("a power loss loses jobs");
    assert!(refused.contains("sync_interval"), "{refused}");
    assert_eq!(clinic.start(true).await, Ok(()));
    let nats = &clinic.args.nats;
    let mut command = Command::new(kiln());
    command.args(["projector"]).stdin(Stdio::null()).kill_on_drop(true);
    command.env("NATS_URL", &nats.nats_url).env("NATS_USER", "operator").env("NATS_PASSWORD", "secret");
    command.env("NATS_MONITOR_URL", nats.nats_monitor_url.as_deref().expect("it is set"));
    command.env("R2_ENDPOINT", clinic.store.config.r2_endpoint.as_deref().expect("it is set"));
    command.env("R2_ACCESS_KEY_ID", "key").env("R2_SECRET_ACCESS_KEY", "secret").env("R2_BUCKET_NAME", "kiln");
    let output = tokio::time::timeout(crate::world::LIMIT, command.output()).await.expect("it ends").expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("sync_interval"), "{said}");
    clinic.args.nats.nats_monitor_url = None;
    expect(&clinic.examine().await, "sync", Level::Warning, "NATS_MONITOR_URL");
    assert_eq!(clinic.start(false).await, Ok(()), "what is not known is only said");
    clinic.args.nats.nats_monitor_url = Some(nowhere().await);
    expect(&clinic.examine().await, "sync", Level::Warning, "does not answer");
}

/// Greets as a server of this version, and then hangs up.
async fn old_server(version: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let line = format!("INFO {}\r\n", json!({"version": version, "auth_required": true, "jetstream": true}));
            let _ = socket.write_all(line.as_bytes()).await;
        }
    });
    address
}

#[tokio::test]
async fn one_old_server_of_several_is_found_and_refused() {
    let mut clinic = Clinic::new().await;
    let url = clinic.args.nats.nats_url.clone();
    clinic.args.nats.nats_url = format!("{url},nats://{}", old_server("2.12.9").await);
    expect(&clinic.examine().await, "server", Level::Wrong, "2.12.9");
    let refused = clinic.start(false).await.expect_err("it can lose messages");
    assert!(refused.contains("2.12.9") && refused.contains("2.15.1"), "{refused}");
    clinic.args.nats.nats_url = format!("{url},nats://{}", nowhere().await.trim_start_matches("http://"));
    expect(&clinic.examine().await, "server", Level::Warning, "is not there");
    assert_eq!(clinic.start(false).await, Ok(()));
    let open = Clinic::with(|options| options.extra.clear()).await;
    expect(&open.examine().await, "login", Level::Warning, "auth.conf");
    assert_eq!(open.start(false).await, Ok(()));
}

#[tokio::test]
async fn rights_are_compared_with_what_the_role_needs_without_using_them() {
    let mut clinic = Clinic::new().await;
    (clinic.args.role, clinic.args.nats) = ("worker".into(), log_of(&clinic.server, "worker"));
    expect(&clinic.examine().await, "rights", Level::Wrong, "render.x.dispatched.1");
    (clinic.args.role, clinic.args.nats) = ("operator".into(), log_of(&clinic.server, "operator"));
    expect(&clinic.examine().await, "rights", Level::Warning, "nothing is forbidden");
    let password = Secret::new("canary");
    clinic.args.nats.nats_password = Some(password);
    expect(&clinic.examine().await, "nats", Level::Wrong, "NATS_URL");
}
