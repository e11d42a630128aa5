//! Whether the Modal app answers, and whether containers can report.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{Finding, Level};
use crate::client;
use crate::modal::{self, Check};

/// How long the public address may take.
const LIMIT: Duration = Duration::from_secs(10);
/// Between two looks at an address whose role may be starting at this moment.
const AGAIN: Duration = Duration::from_secs(5);
/// Looks before somebody is told.
const LOOKS: u32 = 6;

/// Asks the app about a call that nobody has.
pub(super) async fn modal(modal: &modal::Client) -> Finding {
    const URL: &str = "check `MODAL_ENDPOINT_URL`: it is the app's address, without `/submit`";
    match modal.check().await {
        Check::Fine => Finding::ok("modal", "the app answers, and takes our keys"),
        Check::Silent => Finding::wrong("modal", "the app does not answer", format!("{URL}; is it deployed?")),
        Check::Strange(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
            let mend = "check `MODAL_KEY` and `MODAL_SECRET`: they are a proxy auth token of the app's workspace";
            Finding::wrong("modal", "the app refuses our keys", mend)
        }
        Check::Strange(StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) => {
            Finding::wrong("modal", "there is no app at this address", URL)
        }
        Check::Strange(status) if status.is_redirection() => {
            Finding::wrong("modal", format!("the address redirects elsewhere (HTTP {})", status.as_u16()), URL)
        }
        Check::Strange(status) => {
            let message = format!("the app answers otherwise than it should (HTTP {})", status.as_u16());
            Finding::wrong("modal", message, format!("{URL}; its own log says more"))
        }
    }
}

/// Knocks at the address where containers report, as one of them and with a capability that is none.
pub(super) async fn webhook(url: &str) -> Finding {
    const MEND: &str = "check `CALLBACK_URL` or `PUBLIC_URL`, and what stands between the webhook role and the world";
    let http = client::http_client(LIMIT);
    let alive = match http.get(format!("{url}/livez")).timeout(LIMIT).send().await {
        Ok(answer) if answer.status().is_success() => answer.text().await.unwrap_or_default(),
        Ok(answer) => {
            let status = answer.status().as_u16();
            return Finding::wrong("webhook", format!("`/livez` at the public address gives HTTP {status}"), MEND);
        }
        Err(error) => return Finding::wrong("webhook", error.without_url().to_string(), MEND),
    };
    if alive.trim() != "alive" {
        return Finding::wrong("webhook", "something else than kiln answers at the public address", MEND);
    }
    let knock = http.post(format!("{url}/api/webhooks/worker")).bearer_auth("kiln1.doctor").body("{}").timeout(LIMIT);
    let (status, code) = match knock.send().await {
        Ok(answer) => {
            let status = answer.status();
            let problem: Value = answer.json().await.unwrap_or_default();
            (status, problem["code"].as_str().unwrap_or_default().to_owned())
        }
        Err(error) => return Finding::wrong("webhook", error.without_url().to_string(), MEND),
    };
    match (status, code.as_str()) {
        (StatusCode::UNAUTHORIZED, "unauthorized") => {
            Finding::ok("webhook", "containers reach it, and it asks for their capability")
        }
        (StatusCode::SERVICE_UNAVAILABLE, "log_fenced") => Finding::warning(
            "webhook",
            "containers reach it; it takes nothing now, because of the fence",
            "see `kiln fence`",
        ),
        (status, _) => {
            let message = format!("a callback without a capability gives HTTP {}, and not our 401", status.as_u16());
            Finding::wrong("webhook", message, MEND)
        }
    }
}

/// Looks at both once after a start, and tells the log. The other roles may start at the same time, so there is patience.
pub async fn watch_outside(modal: modal::Client, callback_url: &str, stop: &CancellationToken) {
    let looking = async {
        let mut looks = 1;
        loop {
            let found = [self::modal(&modal).await, webhook(callback_url).await];
            let amiss: Vec<_> = found.iter().filter(|finding| finding.level >= Level::Warning).collect();
            if amiss.is_empty() {
                return;
            }
            if looks == LOOKS {
                for finding in amiss {
                    tracing::error!(check = finding.check, "{}", finding.sentence());
                }
                return;
            }
            looks += 1;
            tokio::time::sleep(AGAIN).await;
        }
    };
    let _ = stop.run_until_cancelled(looking).await;
}
