//! Dead letters: what could not be obeyed, kept for a person to look at.

use async_nats::HeaderMap;

use crate::pull::Delivery;
use crate::{Bus, Error};

/// Says why a message is a dead letter.
pub const REASON: &str = "Kiln-Dead-Reason";
/// The sequence that it had.
pub const SEQUENCE: &str = "Kiln-Dead-Sequence";
/// The stream that it was in.
pub const STREAM: &str = "Kiln-Dead-Stream";

/// Copies a message to `dead.{subject}`, once: several projectors may find the same one.
pub(crate) async fn bury(bus: &Bus, delivery: &Delivery, reason: &str) -> Result<(), Error> {
    let Delivery { subject, stream, seq, .. } = delivery;
    // The server would obey its own headers again: an expected sequence, a rollup, a schedule.
    let kept = delivery.headers.iter().filter(|(name, _)| !name.to_string().to_lowercase().starts_with("nats-"));
    let mut headers = HeaderMap::new();
    for (name, values) in kept {
        for value in values {
            headers.append(name.clone(), value.clone());
        }
    }
    headers.insert("Nats-Msg-Id", format!("{stream}-{seq}"));
    headers.insert(REASON, one_line(reason));
    headers.insert(SEQUENCE, seq.to_string());
    headers.insert(STREAM, stream.as_str());
    tracing::error!(message.seq = seq, reason, "a message is kept as a dead letter");
    let kept = bus.put(events::subject::dead(subject), headers, delivery.payload.clone()).await;
    kept.map(|_| ()).map_err(|cause| Error::Bury(subject.clone(), cause))
}

/// A header is one line.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}
