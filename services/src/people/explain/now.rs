//! Where a job stands, who waits for whom, and what comes next.

use std::time::Duration;

use ::events::event::Requested;
use ::events::wire::client::{HistoryEvent, Poll};
use ::events::{Code, Spec, Status, Timestamp, WaitingFor};

use super::payload::read;
use crate::people::words;

/// Where it stands.
pub(super) fn stands(poll: &Poll, at: Timestamp) -> String {
    let ended = || words::ago(poll.updated_at, at);
    match poll.status {
        Status::Pending | Status::Processing => waits(poll, at),
        Status::Complete => format!("It was complete {}.", ended()),
        Status::Cancelled => format!("It was cancelled {}; nothing runs for it any more.", ended()),
        Status::Failed => {
            let why = poll.error.as_ref().map_or("no reason is known", |failure| &failure.message);
            format!("It failed {}: {}.", ended(), ::events::clean(why, 500))
        }
    }
}

fn waits(poll: &Poll, at: Timestamp) -> String {
    let (n, news) = (poll.attempt, words::ago(poll.updated_at, at));
    match poll.waiting_for {
        Some(WaitingFor::Slot) => queue(poll.queue_position),
        Some(WaitingFor::Modal) if words::is_asked(poll) => format!(
            "The GPU provider is asked to take it, and has not answered yet ({news} it was asked). After a minute without \
             an answer the worker asks again; that costs no attempt."
        ),
        Some(WaitingFor::Modal) => format!(
            "It waits for the GPU provider to take it, which is busy, or does not answer, or does not take kiln's own \
             keys. The worker asks again and again{}; that costs no attempt.",
            next_look(poll, at)
        ),
        Some(WaitingFor::Container) => {
            let asks = match words::next_look(poll, at) {
                Some(next) => format!(" yet. The worker asks the provider about it, next {next}."),
                None => format!(" yet ({news} it was told so). The worker waits for the provider."),
            };
            format!("The GPU provider has it, and no container has begun attempt {n}{asks}")
        }
        Some(WaitingFor::Retry) => {
            let next = next_look(poll, at);
            format!("The attempt before is over. The worker pauses before it dispatches attempt {n}{next}.")
        }
        Some(WaitingFor::Reconcile) if poll.status == Status::Pending => format!(
            "The GPU provider refuses it now, but may have taken it before, without an answer. The worker waits whether a \
             container begins, and then looks whether the video is in the store{}.",
            next_look(poll, at)
        ),
        Some(WaitingFor::Reconcile) => format!(
            "Nothing was heard of attempt {n} for a while. The worker finds out what became of it: it asks the GPU \
             provider, and looks whether the video is in the store{}.",
            next_look(poll, at)
        ),
        None => format!("The worker has it: {}.", stage(poll)),
        Some(WaitingFor::Render) => {
            let heard = match words::next_look(poll, at) {
                Some(next) => format!(". If nothing is heard of it the worker asks the GPU provider, next {next}."),
                None => format!("; it was last heard of {news}."),
            };
            format!("A container is at attempt {n}: {}, {} %{heard}", stage(poll), poll.progress)
        }
    }
}

fn stage(poll: &Poll) -> String {
    poll.stage.as_deref().map_or_else(|| "at work".into(), words::stage)
}

/// When the worker looks again, if that is not now.
fn next_look(poll: &Poll, at: Timestamp) -> String {
    words::next_look(poll, at).map_or_else(String::new, |next| format!(", next {next}"))
}

fn queue(position: Option<u64>) -> String {
    let before = match position {
        None => "It waits in the queue.".to_owned(),
        Some(0 | 1) => "It is the next in the queue.".into(),
        Some(2) => "It waits in the queue, and one job is before it.".into(),
        Some(n) => format!("It waits in the queue, and {} jobs are before it.", n - 1),
    };
    before + " A worker takes it as soon as there is a place among the renders that run."
}

/// What comes next.
pub(super) fn comes(poll: &Poll, events: &[HistoryEvent], at: Timestamp) -> String {
    let job = poll.job_id;
    match poll.status {
        Status::Complete => {
            let until = poll.download_url_expires_at;
            let until = until.map_or_else(String::new, |until| format!(" (the address in a poll lasts until {until})"));
            format!("`kiln download {job}` fetches the video{until}.")
        }
        Status::Cancelled => format!("Nothing. `kiln retry {job}` asks for it again, as a new job."),
        Status::Failed => {
            let code = poll.error.as_ref().map_or(Code::Other, |failure| failure.code);
            format!("Nothing more happens by itself. {}", advice(code, &format!("`kiln retry {job}`")))
        }
        Status::Pending | Status::Processing => {
            let next = match poll.waiting_for {
                Some(WaitingFor::Slot | WaitingFor::Modal | WaitingFor::Retry) | None => {
                    "The GPU provider gets it, a container claims it, and renders."
                }
                Some(WaitingFor::Container) => {
                    "A container claims it, and renders; if none does in time, the worker asks the provider."
                }
                Some(WaitingFor::Reconcile) if poll.status == Status::Pending => {
                    "If a container begins, the job goes on with it; else it fails, as the provider said."
                }
                Some(WaitingFor::Reconcile) => {
                    "If the video is there, the job completes; if the render is lost, the next attempt follows."
                }
                Some(WaitingFor::Render) => {
                    "It reports the video, and the job completes; if it falls silent, the worker finds out why."
                }
            };
            [next.to_owned(), left(poll, events), limit(events, at)].map(sentence).concat().trim_end().to_owned()
        }
    }
}

fn sentence(text: String) -> String {
    if text.is_empty() || text.ends_with('.') { text + " " } else { text + ". " }
}

fn spec(events: &[HistoryEvent]) -> Option<Spec> {
    let requested = events.iter().find(|event| event.event == "requested")?;
    read(requested).map(|Requested { spec }| spec)
}

/// How many attempts are left.
fn left(poll: &Poll, events: &[HistoryEvent]) -> String {
    let Some(spec) = spec(events) else { return String::new() };
    match spec.max_attempts.saturating_sub(poll.attempt.get()) {
        0 => "This is the last attempt".into(),
        1 => "If it fails, one more attempt is left".into(),
        n => format!("If it fails, {n} more attempts are left"),
    }
}

/// When it will be over at the latest.
fn limit(events: &[HistoryEvent], at: Timestamp) -> String {
    let Some(spec) = spec(events) else { return String::new() };
    let dispatched = events.iter().find(|event| matches!(event.event.as_str(), "dispatched" | "started"));
    let in_time = |until: Timestamp| words::whole(until.since(at));
    match (dispatched, spec.expires_at) {
        (Some(first), _) => {
            let until = first.time + Duration::from_secs(spec.deadline_seconds.into());
            format!("It fails if it has not ended in {}", in_time(until))
        }
        (None, Some(expires_at)) => {
            format!("It is cancelled if it is not dispatched in {}, as the request wanted", in_time(expires_at))
        }
        (None, None) => String::new(),
    }
}

/// What a person can do about a failure.
fn advice(code: Code, retry: &str) -> String {
    match code {
        Code::InvalidRequest => "Mend the request, and submit it anew.".into(),
        Code::AudioMissing => "The audio is gone from the store: submit the file anew.".into(),
        Code::AudioUnreadable => {
            "Listen to the file: another player should play it; then submit one that is whole.".into()
        }
        Code::AudioTooLarge => "Submit a shorter or a compressed file, such as FLAC.".into(),
        Code::AudioUrlRefused => "Give an address that everyone can reach, or submit the file itself.".into(),
        Code::DispatchRefused => {
            format!(
                "The GPU provider refused it for good, as the message says; when that is mended, {retry} asks again."
            )
        }
        Code::DeadlineExceeded => format!("{retry} asks again; a longer `--deadline` needs a new `kiln submit`."),
        Code::LogCorrupt | Code::Internal => {
            format!(
                "Whoever runs this kiln should know: `kiln doctor` and the worker's log tell more. {retry} asks again."
            )
        }
        Code::RenderFailed => {
            format!("If its own settings are not to blame (`kiln events` shows them), {retry} asks again.")
        }
        Code::ContainerCrashed
        | Code::ExecutorRestarted
        | Code::CallLost
        | Code::CallCancelled
        | Code::OutputMissing
        | Code::UploadFailed
        | Code::DiskFull
        | Code::Other => format!("{retry} asks again, as a new job."),
    }
}
