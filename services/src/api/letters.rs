//! `GET /api/deadletters` and below: what could not be obeyed, for those who can do something about it.

mod redact;

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use events::clean;
use events::wire::operator::{DeadLetter, DeadLetterList, Redriven, WholeDeadLetter};
use nats::Letter;

use super::{Api, query, unavailable};
use crate::http::code::Code;
use crate::http::gate;
use crate::http::problem::Problem;

/// The most of a message that is shown.
const MAX_BODY: usize = 16 * 1024;
/// The most of a header's name or value, of a subject and of a reason that is shown.
const MAX_TEXT: usize = 1024;
/// The most headers that are shown.
const MAX_HEADERS: usize = 64;
/// Letters may be as long as the log takes messages, so only so many requests for them are at work at once.
pub(super) const AT_ONCE: usize = 4;

pub(super) async fn list(State(api): State<Api>, RawQuery(asked): RawQuery) -> Result<Json<DeadLetterList>, Problem> {
    let [limit, cursor] = query::values(asked.as_deref().unwrap_or_default(), ["limit", "cursor"])?;
    let limit = query::limit(limit.as_deref())?;
    let before = cursor.map_or(Ok(u64::MAX), |cursor| parse(&cursor).ok_or_else(query::no_cursor))?;
    let _place = gate::enter(&api.letter_reads, 1).await?;
    let (found, total) = tokio::join!(api.letters.before(before, limit + 1), api.letters.total());
    let (mut found, total) = (found.map_err(lost)?, total.map_err(lost)?);
    let has_more = found.len() > limit;
    found.truncate(limit);
    let dead_letters: Vec<_> = found.iter().map(summary).collect();
    let next_cursor = dead_letters.last().filter(|_| has_more).map(|last| last.id.clone());
    Ok(Json(DeadLetterList { dead_letters, next_cursor, total }))
}

pub(super) async fn show(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<WholeDeadLetter>, Problem> {
    let letter = api.letter(&id).await?;
    let mut headers = BTreeMap::<String, String>::new();
    for (name, value) in letter.headers.iter().take(MAX_HEADERS) {
        let shown = redact::header(name, &clean(value, MAX_TEXT));
        let all = headers.entry(clean(name, MAX_TEXT)).or_default();
        *all = if all.is_empty() { shown } else { format!("{all}, {shown}") };
    }
    let body = String::from_utf8_lossy(&letter.payload);
    let shown = &body[..body.floor_char_boundary(MAX_BODY)];
    Ok(Json(WholeDeadLetter {
        letter: summary(&letter),
        headers,
        body: redact::text(shown),
        body_truncated: shown.len() < body.len(),
        size_bytes: letter.payload.len().try_into().unwrap_or(u64::MAX),
    }))
}

pub(super) async fn redrive(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Redriven>), Problem> {
    let letter = api.letter(&id).await?;
    let refused = |why: &str| Err(Problem::new(Code::NotRedrivable, why));
    match api.letters.redrive(&letter).await.map_err(lost)? {
        nats::Redriven::OtherStream => {
            refused("the message is not in the log: only a progress report, and the next one replaces it")
        }
        nats::Redriven::AgedOut => refused("the log does not keep the message any more"),
        nats::Redriven::Done => {
            let DeadLetter { id, stream, sequence, .. } = summary(&letter);
            tracing::info!(message.seq = sequence, "the projectors were told to read the log again from a dead letter");
            let effect = format!("the projectors read the log again from message {sequence}");
            Ok((StatusCode::ACCEPTED, Json(Redriven { id, stream, sequence, effect })))
        }
    }
}

impl Api {
    async fn letter(&self, id: &str) -> Result<Letter, Problem> {
        let unknown = || Problem::not_found("there is no such letter; one that is kept anew gets another id");
        let seq = parse(id).ok_or_else(unknown)?;
        let _place = gate::enter(&self.letter_reads, 1).await?;
        self.letters.get(seq).await.map_err(lost)?.ok_or_else(unknown)
    }
}

fn summary(letter: &Letter) -> DeadLetter {
    DeadLetter {
        id: letter.seq.to_string(),
        time: letter.time,
        subject: redact::text(&clean(&letter.subject, MAX_TEXT)),
        job_id: letter.job,
        reason: redact::text(&clean(&letter.reason, MAX_TEXT)),
        stream: clean(&letter.place.stream, MAX_TEXT),
        sequence: letter.place.sequence,
    }
}

/// A sequence, written in the one way that we write it.
fn parse(text: &str) -> Option<u64> {
    text.parse().ok().filter(|seq: &u64| *seq > 0 && seq.to_string() == text)
}

#[expect(clippy::needless_pass_by_value, reason = "`map_err` gives it away")]
fn lost(error: nats::Error) -> Problem {
    unavailable(&error)
}
