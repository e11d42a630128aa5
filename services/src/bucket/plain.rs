//! Questions of which a job asks several, and which nearly always get a plain yes: they go out without the SDK, which takes
//! several times as long to put one. Whatever else is answered is the SDK's: it asks anew, again where that helps, and
//! knows how stores say no.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response};

use crate::client::http_client;

/// After so much silence the SDK asks instead.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the signature of a question lasts.
pub(super) const LIFETIME: Duration = Duration::from_mins(5);

pub(super) fn client() -> Client {
    http_client(PATIENCE)
}

/// The answer, if it is a yes.
pub(super) async fn told(question: RequestBuilder) -> Option<Response> {
    question.send().await.ok().filter(|answer| matches!(answer.status().as_u16(), 200 | 206))
}
