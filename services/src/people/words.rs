//! Numbers and states, as people say them.

use std::time::Duration;

use ::events::event::Output;
use ::events::spec::{Audio, Spec};
use ::events::wire::client::Poll;
use ::events::{Status, Timestamp, WaitingFor};

/// `48 ms`, `3.2 s`, `34 s`, `5 min 12 s`, `3 h 20 min`, `4 days`.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..120 => format!("{seconds} s"),
        120..600 => format!("{minutes} min {} s", seconds % 60),
        600..7200 => format!("{minutes} min"),
        7200..172_800 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} days"),
    }
}

/// How long ago something was, roughly.
pub(super) fn ago(then: Timestamp, now: Timestamp) -> String {
    let since = now.since(then);
    if since < Duration::from_secs(1) { "just now".into() } else { format!("{} ago", whole(since)) }
}

/// Whether the provider is being asked to take it, and nobody waits yet to ask again.
pub(super) fn is_asked(poll: &Poll) -> bool {
    poll.waiting_for == Some(WaitingFor::Modal) && poll.until.is_none()
}

/// When the worker looks again, where it waits until a moment that is yet to come: `in 12 s`.
pub(super) fn next_look(poll: &Poll, now: Timestamp) -> Option<String> {
    let until = poll.until.filter(|until| *until > now)?;
    Some(format!("in {}", whole(until.since(now).max(Duration::from_secs(1)))))
}

/// In one unit: `4 s`, `12 min`, `3 h`, `4 days`.
pub(super) fn whole(since: Duration) -> String {
    match since.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

/// `812 bytes`, `4.2 KiB`, `5.1 MiB`, `1.9 GiB`.
#[expect(clippy::cast_precision_loss, reason = "rounded anyway")]
pub(super) fn size(bytes: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let unit = units.into_iter().find(|(_, bits)| bytes >> bits > 0);
    unit.map_or_else(
        || format!("{bytes} bytes"),
        |(unit, bits)| format!("{:.1} {unit}", bytes as f64 / (1_u64 << bits) as f64),
    )
}

/// `1st`, `2nd`, `3rd`, `4th`.
pub(super) fn ordinal(n: u64) -> String {
    let ending = match (n % 10, n % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{n}{ending}")
}

/// Words in a row: `a`, `a and b`, `a, b and c`.
pub(super) fn row(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A stage's name, as people say it.
pub(super) fn stage(name: &str) -> String {
    match name {
        "dispatched-to-modal" => "taken by the GPU provider".into(),
        name => ::events::clean(name, 64).replace('-', " "),
    }
}

/// What is being done about a job, in a few words.
pub(crate) fn doing(poll: &Poll) -> String {
    let attempt = poll.attempt.get();
    match (poll.status, poll.waiting_for) {
        (Status::Complete, _) => poll.result.as_ref().map_or_else(|| "complete".into(), video),
        (Status::Failed, _) => {
            poll.error.as_ref().map_or_else(|| "failed".into(), |failure| ::events::clean(&failure.message, 300))
        }
        (Status::Cancelled, _) => "cancelled".into(),
        (_, Some(WaitingFor::Slot)) => match poll.queue_position {
            Some(1) => "next in the queue".into(),
            Some(n) => format!("{} in the queue", ordinal(n)),
            None => "waits for a place".into(),
        },
        (_, Some(WaitingFor::Modal)) if is_asked(poll) => "the GPU provider is asked to take it".into(),
        (_, Some(WaitingFor::Modal)) => "waits for the GPU provider to take it".into(),
        (_, Some(WaitingFor::Retry)) => format!("waits before attempt {attempt}"),
        (_, Some(WaitingFor::Container)) => with_attempt("waits for a container", attempt),
        (Status::Pending, Some(WaitingFor::Reconcile)) => "refused, or taken before; being looked into".into(),
        (_, Some(WaitingFor::Reconcile)) => with_attempt("silent; being looked into", attempt),
        (_, Some(WaitingFor::Render) | None) => {
            let stage = poll.stage.as_deref().map_or_else(|| poll.status.to_string(), stage);
            with_attempt(&stage, attempt)
        }
    }
}

fn with_attempt(text: &str, attempt: u16) -> String {
    if attempt > 1 { format!("{text}, attempt {attempt}") } else { text.into() }
}

/// How long and how large a video is.
pub(super) fn video(output: &Output) -> String {
    let length = output.duration_ms.map(|ms| format!("{} of video", duration(Duration::from_millis(ms))));
    let parts: Vec<_> = length.into_iter().chain(output.size_bytes.map(size)).collect();
    if parts.is_empty() { "complete".into() } else { parts.join(", ") }
}

/// What was asked for.
pub(super) fn spec(spec: &Spec) -> String {
    let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let format = word(serde_json::to_value(spec.output_format).unwrap_or_default());
    let mode = word(serde_json::to_value(spec.mode).unwrap_or_default());
    let audio = match &spec.audio {
        Audio::Stored { size_bytes: Some(bytes), .. } => format!(", from {} of audio", size(*bytes)),
        Audio::Stored { .. } => String::new(),
        Audio::Remote { .. } => ", from an address".into(),
    };
    format!("{format}, {mode}, {} fps{audio}", spec.fps)
}

/// What a job is called: the name of its file, where whoever submitted it told that.
pub(super) fn name(poll: &Poll) -> Option<String> {
    let name = poll.metadata.get("filename")?.as_str()?;
    let name = ::events::clean(name.rsplit(['/', '\\']).next()?, 100);
    Some(name).filter(|name| !name.trim_matches('.').is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_as_people_say_them() {
        let rows = [
            (0, "0 ms"),
            (48, "48 ms"),
            (3249, "3.2 s"),
            (34_900, "34 s"),
            (119_000, "119 s"),
            (312_000, "5 min 12 s"),
        ];
        let more = [(660_000, "11 min"), (12_000_000, "3 h 20 min"), (400_000_000, "4 days")];
        for (ms, text) in rows.into_iter().chain(more) {
            assert_eq!(duration(Duration::from_millis(ms)), text);
        }
        for (bytes, text) in [(0, "0 bytes"), (1023, "1023 bytes"), (4300, "4.2 KiB"), (5_347_738, "5.1 MiB")] {
            assert_eq!(size(bytes), text);
        }
        let ordinals: Vec<_> = [1, 2, 3, 4, 11, 12, 13, 21, 101, 111].into_iter().map(ordinal).collect();
        assert_eq!(ordinals.join(" "), "1st 2nd 3rd 4th 11th 12th 13th 21st 101st 111th");
        let words = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(
            [row(&words[..0]), row(&words[..1]), row(&words[..2]), row(&words)],
            ["", "a", "a and b", "a, b and c"]
        );
        let now = Timestamp::from_unix_ms(100_000);
        assert_eq!([ago(now, now), ago(Timestamp::from_unix_ms(95_500), now)], ["just now", "4 s ago"]);
    }
}
