//! Every way to log in and to trust a server, right and wrong.

use std::error::Error as _;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use events::Secret;
use nats::{Bus, Error, Login, Settings};
use nkeys::KeyPair;
use serde_json::{Value, json};

use crate::{World, folder};

/// What stands in every secret of these tests, and in no error.
const CANARY: &str = "SUAM-canary";

/// Whether a login is taken; if not, the variable that the error must name.
async fn check(settings: Settings, wrong: Option<&str>) {
    let connected = Bus::connect(&settings).await;
    let Some(variable) = wrong else {
        assert!(connected.expect("the login is right").is_connected());
        return;
    };
    let error = connected.expect_err("the login is wrong");
    let text = format!("{error} | {:?} | {error:?} {settings:?}", error.source().map(ToString::to_string));
    assert!(error.to_string().contains(&format!("`{variable}`")), "{variable}: {text}");
    assert!(!error.is_transient(), "nothing but another variable helps: {text}");
    assert!(!text.contains(CANARY), "{text}");
}

async fn check_login(world: &World, login: Login, wrong: Option<&str>) {
    check(Settings { login, ..Settings::new(world.server.url(), "api") }, wrong).await;
}

fn seed(pair: &KeyPair) -> String {
    pair.seed().expect("a whole pair")
}

#[tokio::test]
async fn a_seed_or_a_password_is_taken_and_a_wrong_one_names_its_variable() {
    let (known, unknown) = (KeyPair::new_user(), KeyPair::new_user());
    let users = format!("{{ nkey: {} }}, {{ user: api, password: \"right\" }}", known.public_key());
    let world = World::with(|options| options.extra = format!("authorization {{ users: [{users}] }}")).await;
    let nkey = |seed: &str| Login::Nkey(Secret::new(seed));
    let password = |user: &str, password: &str| Login::Password(user.into(), Secret::new(password));

    check_login(&world, nkey(&seed(&known)), None).await;
    check_login(&world, nkey(&seed(&unknown)), Some("NATS_NKEY")).await;
    check_login(&world, nkey(CANARY), Some("NATS_NKEY")).await;
    check_login(&world, password("api", "right"), None).await;
    check_login(&world, password("api", CANARY), Some("NATS_PASSWORD")).await;
    check_login(&world, password("nobody", "right"), Some("NATS_USER")).await;
    check_login(&world, Login::None, Some("NATS_USER")).await;
}

/// A token as `nsc` makes it.
fn token(issuer: &KeyPair, subject: &KeyPair, nats: &Value) -> String {
    let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = encode(json!({"typ": "JWT", "alg": "ed25519-nkey"}));
    let (iss, sub) = (issuer.public_key(), subject.public_key());
    let claims = encode(json!({"jti": sub, "iat": 1, "iss": iss, "name": "test", "sub": sub, "nats": nats}));
    let signed = format!("{header}.{claims}");
    let signature = issuer.sign(signed.as_bytes()).expect("a whole pair");
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn account(operator: &KeyPair, account: &KeyPair) -> String {
    let limits = json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
    });
    token(operator, account, &json!({"type": "account", "version": 2, "limits": limits}))
}

fn credentials(folder: &Path, account: &KeyPair, user: &KeyPair) -> PathBuf {
    let nats = json!({"type": "user", "version": 2, "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1});
    let file = folder.join(format!("{}.creds", user.public_key()));
    let lines = [
        "-----BEGIN NATS USER JWT-----",
        &token(account, user, &nats),
        "------END NATS USER JWT------",
        "",
        "-----BEGIN USER NKEY SEED-----",
        &seed(user),
        "------END USER NKEY SEED------",
        "",
    ];
    fs::write(&file, lines.join("\n")).expect("the folder can be written to");
    file
}

#[tokio::test]
async fn a_file_of_credentials_is_taken_and_a_wrong_one_names_its_variable() {
    let (operator, system, kiln) = (KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_account());
    let lines = [
        format!("operator: {}", token(&operator, &operator, &json!({"type": "operator", "version": 2}))),
        format!("system_account: {}", system.public_key()),
        "resolver: MEMORY".to_owned(),
        format!("resolver_preload {{ {}: {}", system.public_key(), account(&operator, &system)),
        format!("{}: {} }}", kiln.public_key(), account(&operator, &kiln)),
    ];
    let world = World::with(|options| options.extra = lines.join("\n")).await;
    let folder = folder();
    let of = |account| Login::Credentials(credentials(folder.path(), account, &KeyPair::new_user()));
    let garbage = folder.path().join("garbage.creds");
    fs::write(&garbage, CANARY).expect("the folder can be written to");

    check_login(&world, of(&kiln), None).await;
    check_login(&world, of(&KeyPair::new_account()), Some("NATS_CREDS")).await;
    check_login(&world, Login::Credentials(garbage), Some("NATS_CREDS")).await;
    check_login(&world, Login::Credentials(folder.path().join("absent.creds")), Some("NATS_CREDS")).await;
    check_login(&world, Login::None, Some("NATS_CREDS")).await;
}

/// A certificate that vouches for itself, and its key, as files.
fn certificate(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    let files = (folder.join(format!("{name}.crt")), folder.join(format!("{name}.key")));
    fs::write(&files.0, made.cert.pem()).expect("the folder can be written to");
    fs::write(&files.1, made.signing_key.serialize_pem()).expect("the folder can be written to");
    files
}

#[tokio::test]
async fn an_encrypted_server_is_trusted_by_its_certificate_alone() {
    let folder = folder();
    let (right, key) = certificate(folder.path(), "right");
    let (wrong, _) = certificate(folder.path(), "wrong");
    let files = format!("cert_file: {right:?}\nkey_file: {key:?}");
    let encrypted = World::with(|options| options.extra = format!("tls {{\n{files}\n}}")).await;
    let plain = World::new().await;
    let with = |world: &World, ca: Option<&Path>| {
        let ca = ca.map(Path::to_owned);
        Settings { ca, ..Settings::new(world.server.url(), "api") }
    };

    check(with(&encrypted, Some(&right)), None).await;
    check(with(&encrypted, Some(&wrong)), Some("NATS_CA")).await;
    check(with(&encrypted, Some(&folder.path().join("absent.crt"))), Some("NATS_CA")).await;
    check(with(&encrypted, Some(&key)), Some("NATS_CA")).await;
    check(with(&encrypted, None), Some("NATS_CA")).await;
    check(with(&plain, Some(&right)), Some("NATS_CA")).await;
    let error = Bus::connect(&with(&encrypted, Some(&wrong))).await.expect_err("another certificate");
    assert!(matches!(error, Error::Trust { .. }), "{error:?}");
}
