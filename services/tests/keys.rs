//! API keys, with the real command and the real role.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use reqwest::{Method, RequestBuilder, Response};
use tokio::process::Child;

use crate::roles::{is_ready, port, role};
use crate::support::{kiln, wait_for};
use crate::world::TestWorld;

const NO_JOB: &str = "/api/render/0193a5c0-7c1e-7b3a-9d52-1f0c8a7be001";

/// An api that asks for keys.
pub(crate) struct Api {
    pub(crate) world: TestWorld,
    pub(crate) base: String,
    file: PathBuf,
    log: PathBuf,
    _child: Child,
}

impl Api {
    pub(crate) async fn start(more: &[(&str, &str)]) -> (Self, String) {
        let mut world = TestWorld::start().await;
        let file = world.folder.path().join("keys.json");
        let admin = create(&file, &["--label", "admin", "--scopes", "admin"]);
        let log = world.folder.path().join("log");
        let address = format!("127.0.0.1:{}", port().await);
        let mut command = role(&mut world, "api", &["--listen", &address]);
        command.env("KILN_API_KEYS_FILE", &file).envs(more.iter().copied());
        command.stderr(std::fs::File::create(&log).expect("the folder can be written to"));
        let child = command.spawn().expect("kiln runs");
        let base = format!("http://{address}");
        wait_for("readiness", async || is_ready(&world.http, &base).await.then_some(())).await;
        (Self { world, base, file, log, _child: child }, admin)
    }

    fn ask(&self, method: Method, path: &str, authorization: &str) -> RequestBuilder {
        let request = self.world.http.request(method, format!("{}{path}", self.base));
        if authorization.is_empty() { request } else { request.header("authorization", authorization) }
    }

    async fn status(&self, method: Method, path: &str, secret: &str) -> u16 {
        let response = self.ask(method, path, &format!("Bearer {secret}")).send().await;
        response.expect("it is answered").status().as_u16()
    }

    async fn submit(&self, secret: &str) -> String {
        let audio = std::fs::read(self.world.music(1)).expect("it is there");
        let part = b"--b\r\nContent-Disposition: form-data; name=\"audio\"\r\n\r\n";
        let body = [part.as_slice(), audio.as_slice(), b"\r\n--b--\r\n"].concat();
        let request = self.ask(Method::POST, "/api/render", &format!("Bearer {secret}"));
        let request =
            request.header("idempotency-key", "one").header("content-type", "multipart/form-data; boundary=b");
        let accepted: serde_json::Value =
            request.body(body).send().await.expect("an answer").json().await.expect("it is JSON");
        accepted["jobId"].as_str().unwrap_or_else(|| panic!("{accepted}")).to_owned()
    }
}

/// What `kiln keys` prints.
fn keys(file: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(kiln());
    let output = command.arg("keys").args(arguments).env("KILN_API_KEYS_FILE", file).output().expect("kiln runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it is text")
}

/// A new key's secret.
fn create(file: &Path, arguments: &[&str]) -> String {
    let text = keys(file, &[&["create"], arguments].concat());
    text.lines().last().expect("there is a secret").to_owned()
}

#[tokio::test]
async fn a_key_opens_what_its_scopes_say_and_nothing_more() {
    let (api, admin) = Api::start(&[]).await;
    let [submit, read, cancel] =
        ["submit", "read", "cancel"].map(|scope| create(&api.file, &["--label", scope, "--scopes", scope]));
    wait_for("the new keys", async || (api.status(Method::GET, NO_JOB, &read).await == 404).then_some(())).await;
    let rows = [
        (Method::GET, NO_JOB, [403, 404, 403, 404]),
        (Method::DELETE, NO_JOB, [403, 403, 404, 404]),
        (Method::POST, "/api/uploads", [400, 403, 403, 400]),
        (Method::POST, "/api/render", [415, 403, 403, 415]),
    ];
    for (method, path, statuses) in rows {
        for (secret, status) in [&submit, &read, &cancel, &admin].into_iter().zip(statuses) {
            assert_eq!(api.status(method.clone(), path, secret).await, status, "{method} {path}");
        }
        for wrong in
            ["", "Bearer", "Bearer ", "Bearer kiln_0", "Basic a2lsbjpraWxu", &admin, &format!("Bearer {admin}0")]
        {
            let response: Response = api.ask(method.clone(), path, wrong).send().await.expect("it is answered");
            assert_eq!(response.status(), 401, "{method} {path}");
            assert_eq!(response.headers()["www-authenticate"], "Bearer realm=\"kiln\"");
            let body = response.text().await.expect("a body");
            assert!(body.contains("\"unauthorized\"") && !body.contains("kiln_"), "{body}");
        }
    }
    let lower = api.ask(Method::GET, NO_JOB, &format!("bearer {read}")).send().await.expect("it is answered");
    assert_eq!(lower.status(), 404, "the scheme's name is not case-sensitive");
    for path in ["/openapi.json", "/docs", "/livez", "/readyz"] {
        assert_eq!(api.ask(Method::GET, path, "").send().await.expect("an answer").status(), 200, "{path}");
    }
    let first = api.submit(&submit).await;
    assert_eq!(api.submit(&submit).await, first);
    assert_ne!(api.submit(&admin).await, first, "an Idempotency-Key belongs to its API key");
    let log = std::fs::read_to_string(&api.log).expect("there is a log");
    for secret in [&submit, &read, &cancel, &admin] {
        assert!(!log.contains(secret.as_str()), "a secret is in the log");
    }
    api.world.stop().await;
}

#[tokio::test]
async fn the_file_of_keys_is_read_again_and_a_broken_one_changes_nothing() {
    let (api, admin) = Api::start(&[]).await;
    let mode = std::fs::metadata(&api.file).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read_to_string(&api.file).expect("it is there");
    assert!(!text.contains("kiln_"), "the file holds a secret");
    let limited = create(&api.file, &["--label", "slow", "--scopes", "read", "--rate-per-minute", "3"]);
    wait_for("the new key", async || (api.status(Method::GET, NO_JOB, &limited).await != 401).then_some(())).await;
    let refused = wait_for("the end of its rate", async || {
        let request = api.ask(Method::GET, NO_JOB, &format!("Bearer {limited}"));
        let response = request.send().await.expect("an answer");
        (response.status() == 429).then_some(response)
    })
    .await;
    let rest: u32 = refused.headers()["retry-after"].to_str().expect("text").parse().expect("seconds");
    assert!((1..=20).contains(&rest), "{rest}");
    assert_eq!(api.status(Method::GET, NO_JOB, &admin).await, 404, "another key has a rate of its own");
    let good = std::fs::read(&api.file).expect("it is there");
    std::fs::write(&api.file, "{\"keys\":[{}]}").expect("it can be written");
    wait_for("a word in the log", async || {
        let log = std::fs::read_to_string(&api.log).expect("there is a log");
        log.contains("the keys from before stay valid").then_some(())
    })
    .await;
    assert_eq!(api.status(Method::GET, NO_JOB, &admin).await, 404);
    std::fs::write(&api.file, good).expect("it can be written");
    let list = keys(&api.file, &["list"]);
    let id = list.lines().find(|line| line.ends_with("admin")).and_then(|line| line.split(' ').next());
    keys(&api.file, &["revoke", id.expect("it is listed")]);
    wait_for("the revocation", async || (api.status(Method::GET, NO_JOB, &admin).await == 401).then_some(())).await;
    assert!(keys(&api.file, &["list"]).contains("revoked 2"));
    api.world.stop().await;
}

#[tokio::test]
async fn only_listed_origins_may_use_it_from_a_browser() {
    let (api, _) = Api::start(&[("KILN_CORS_ORIGIN", "https://app.example.com,http://localhost:3000")]).await;
    for (origin, may) in
        [("https://app.example.com", true), ("http://localhost:3000", true), ("https://evil.example", false)]
    {
        let preflight = api.ask(Method::OPTIONS, "/api/render", "").header("origin", origin);
        let preflight = preflight
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,idempotency-key");
        let preflight = preflight.send().await.expect("an answer");
        let request = api.ask(Method::GET, NO_JOB, "").header("origin", origin).send().await.expect("an answer");
        for response in [&preflight, &request] {
            let allowed = response.headers().get("access-control-allow-origin");
            assert_eq!(allowed.is_some_and(|allowed| allowed == origin), may, "{origin}: {response:?}");
        }
        if may {
            assert_eq!(preflight.headers()["access-control-allow-headers"], "authorization,idempotency-key");
        }
    }
    let without = api.world.http.get(api.world.url(NO_JOB)).header("origin", "https://app.example.com").send().await;
    assert!(!without.expect("an answer").headers().contains_key("access-control-allow-origin"));
    api.world.stop().await;
}

#[test]
fn writers_of_the_file_of_keys_wait_for_each_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("keys.json");
    std::thread::scope(|scope| {
        for n in 0..8 {
            let file = &file;
            scope.spawn(move || create(file, &["--label", &n.to_string()]));
        }
    });
    let list = keys(&file, &["list"]);
    assert_eq!(list.lines().count(), 8, "{list}");
}
