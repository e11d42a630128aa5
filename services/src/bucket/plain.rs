//! Questions of which a job asks several, and which nearly always get a plain yes: they go out without the SDK, which takes
//! several times as long to put one. Whatever else is answered is the SDK's: it asks anew, again where that helps, and
//! knows how stores say no.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response};

use crate::client::http_client;

/// Without an answer by then the SDK asks instead what an object is: the store has only to look.
pub(super) const LOOKING: Duration = Duration::from_secs(5);
/// The same for a copy, through whose bytes the store has to go; as long as the SDK gives it.
pub(super) const COPYING: Duration = Duration::from_mins(1);
/// How long the signature of a question lasts.
pub(super) const LIFETIME: Duration = Duration::from_mins(5);

pub(super) fn client() -> Client {
    http_client(COPYING)
}

/// The answer, if it is a yes and comes in time.
pub(super) async fn told(question: RequestBuilder, patience: Duration) -> Option<Response> {
    question.timeout(patience).send().await.ok().filter(|answer| matches!(answer.status().as_u16(), 200 | 206))
}
