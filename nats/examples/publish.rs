//! Asks kiln for a render without HTTP, as any program may that can reach NATS:
//!
//! ```sh
//! cargo run -p nats --example publish -- JOB AUDIO
//! ```
//!
//! JOB is a UUID of your own. Keep it: asking again for the same job is harmless, and the way to go on after any error.
//! AUDIO is an address (`https://…`), or the key of an object in kiln's bucket (`uploads/…/audio.flac`).
//! `NATS_URL` says where the server is, and who asks: `nats://user:password@host`.

use std::error::Error;

use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use async_nats::{ConnectOptions, ServerAddr};
use serde_json::json;

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is in the log, at this sequence.
    Stored(u64),
    /// It was there before.
    AlreadyThere,
}

/// Returns when the log has the request. After an error nobody knows; ask again for the same job.
pub(crate) async fn publish(server: &str, job: &str, audio: &str) -> Result<Answer, Box<dyn Error>> {
    let place = if audio.contains("://") { "url" } else { "key" };
    let body = json!({"spec": {"audio": {place: audio}}});
    let address: ServerAddr = server.parse()?;
    // The client library takes no name from the address by itself.
    let options = match (address.username(), address.password()) {
        (Some(user), Some(password)) => ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned()),
        _ => ConnectOptions::new(),
    };
    let client = options.connect(address).await?;
    // A request, not a mere message: the answer is the server's word that the log has it.
    let answer = client.request(format!("render.{job}.requested"), body.to_string().into()).await?;
    match serde_json::from_slice(&answer.payload)? {
        Response::Ok(PublishAck { sequence, .. }) => Ok(Answer::Stored(sequence)),
        // The log takes each fact once. A log that is full has the same number, and another sentence.
        Response::Err { error } if error.to_string().contains("maximum messages per subject") => {
            Ok(Answer::AlreadyThere)
        }
        Response::Err { error } => Err(error.into()),
    }
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "this is what the example has to say")]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let [job, audio] = words.as_slice() else { return Err("usage: publish JOB AUDIO".into()) };
    let server = std::env::var("NATS_URL").unwrap_or("nats://127.0.0.1:4222".to_owned());
    match publish(&server, job, audio).await? {
        Answer::Stored(seq) => println!("{job} is in the log, at {seq}"),
        Answer::AlreadyThere => println!("{job} was there already"),
    }
    Ok(())
}
