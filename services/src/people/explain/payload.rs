//! What an event says, in words.

use ::events::event::{AttemptFailed, Cancelled, Completed, Dispatched, Failed, Requested, Started};
use ::events::wire::client::HistoryEvent;
use serde::de::DeserializeOwned;

use crate::people::words;

/// An event's payload, as its kind has it; none if it cannot be read, or a newer release wrote it.
pub(super) fn read<T: DeserializeOwned>(event: &HistoryEvent) -> Option<T> {
    serde_json::from_value(event.data.clone()).ok()
}

/// In a few words; of what cannot be read, that.
pub(in crate::people) fn in_words(event: &HistoryEvent) -> String {
    let told = match event.event.as_str() {
        "requested" => read(event).map(|Requested { spec }| words::spec(&spec)),
        "dispatched" => read(event).map(|Dispatched { call_id, gpu }| {
            format!("the GPU provider took it, {} (call {call_id})", if gpu { "on a GPU" } else { "on CPUs" })
        }),
        "started" => read(event).map(|Started { call_id, .. }| format!("a container began (call {call_id})")),
        "attempt_failed" => read(event).map(|AttemptFailed { failure }| {
            let more = if failure.retryable { "" } else { ", for good" };
            format!("{}{more}", failure.message)
        }),
        "completed" => read(event).map(|Completed { output, .. }| words::video(&output)),
        "cancelled" => read(event).map(|Cancelled { reason }| reason),
        "failed" => read(event).map(|Failed { failure }| failure.message),
        _ => Some("a newer release of kiln wrote this".into()),
    };
    ::events::clean(&told.unwrap_or_else(|| "cannot be read, and is not obeyed".into()), 500)
}
