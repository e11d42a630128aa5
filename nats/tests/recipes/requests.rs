//! Runs a recipe by sending its requests, as any client could.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::{Client, Message, StatusCode, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::Value;

use crate::recipes::book::{Block, blocks_of};
use crate::world::World;

mod snapshot;

const ANSWERS: &str = "_INBOX.answers";
const LIMIT: Duration = Duration::from_secs(20);

/// Where the requests go, and what stands for the names in them.
pub(crate) struct Way {
    server: String,
    other: Option<String>,
    values: Vec<(&'static str, String)>,
}

/// What came, as it goes on coming.
pub(crate) struct Followed {
    said: Arc<Mutex<String>>,
    _client: Client,
}

impl Followed {
    pub(crate) fn said(&self) -> String {
        self.said.lock().expect("nobody panics").clone()
    }
}

impl Way {
    pub(crate) fn to(world: &World) -> Self {
        Self { server: world.server.url().to_owned(), other: None, values: Vec::new() }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Display) -> Self {
        self.values.push((name, value.to_string()));
        self
    }

    /// The server that a recipe calls the other one.
    pub(crate) fn and(mut self, other: &World) -> Self {
        self.other = Some(other.server.url().to_owned());
        self
    }

    /// All that came back; the error is the first refusal.
    pub(crate) async fn run(&self, title: &str) -> Result<String, String> {
        let (mut said, mut answer) = (String::new(), Bytes::new());
        for block in blocks_of(title) {
            let server = match block.tag {
                "nats-request" => &self.server,
                "nats-request other" => self.other.as_ref().expect("the test has another server"),
                _ => continue,
            };
            let (subject, body) = self.fill(&block, &answer);
            for message in self.send(&connect(server).await, subject, body).await {
                said.push_str(&text(&message));
                if is_refusal(&message) {
                    return Err(said);
                }
                answer = message.payload;
            }
        }
        Ok(said)
    }

    /// Listens where the recipe says, and then sends what makes the server talk.
    pub(crate) async fn follow(&self, title: &str) -> Followed {
        let client = connect(&self.server).await;
        let said = Arc::new(Mutex::new(String::new()));
        for block in blocks_of(title) {
            let (subject, body) = self.fill(&block, &Bytes::new());
            match block.tag {
                "nats-subscribe" => {
                    let mut messages = client.subscribe(subject).await.expect("subscribed");
                    let said = said.clone();
                    tokio::spawn(async move {
                        while let Some(message) = messages.next().await {
                            said.lock().expect("nobody panics").push_str(&text(&message));
                        }
                    });
                }
                "nats-request follow" => {
                    let answers = exchange(&client, subject, body).await;
                    assert!(!is_refusal(&answers[0]), "{}", text(&answers[0]));
                }
                _ => {}
            }
        }
        Followed { said, _client: client }
    }

    async fn send(&self, client: &Client, subject: String, body: Bytes) -> Vec<Message> {
        let folder = |stream: &str| self.folder().join(stream);
        if let Some(stream) = subject.strip_prefix("$JS.API.STREAM.SNAPSHOT.") {
            return vec![snapshot::back_up(client, &subject, body, &folder(stream)).await];
        }
        if let Some(stream) = subject.strip_prefix("$JS.API.STREAM.RESTORE.") {
            return vec![snapshot::restore(client, &subject, body, &folder(stream)).await];
        }
        exchange(client, subject, body).await
    }

    fn folder(&self) -> PathBuf {
        let folder = self.values.iter().find(|(name, _)| *name == "FOLDER");
        folder.expect("the test has a folder").1.clone().into()
    }

    /// Subject and body, with values for names and contents for files.
    fn fill(&self, block: &Block, answer: &Bytes) -> (String, Bytes) {
        let mut text = block.text.to_owned();
        for (name, value) in &self.values {
            text = text.replace(&format!("${name}"), value);
        }
        let (subject, body) = text.split_once('\n').unwrap_or((&text, ""));
        let body = match body.split_once('@') {
            None => body.to_owned().into(),
            Some(("", "answer")) => answer.clone(),
            Some((before, rest)) => {
                let end = rest.find(".json").expect("a JSON file") + ".json".len();
                format!("{before}{}{}", read(&rest[..end]), &rest[end..]).into()
            }
        };
        (subject.to_owned(), body)
    }
}

fn read(file: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

async fn connect(server: &str) -> Client {
    async_nats::connect(server).await.expect("connected")
}

fn text(message: &Message) -> String {
    let subject = Some(message.subject.as_str()).filter(|subject| *subject != ANSWERS).unwrap_or_default();
    let headers = message.headers.iter().flat_map(|headers| headers.iter());
    let headers: Vec<_> = headers.map(|(name, values)| format!("{name}: {}", values[0])).collect();
    format!("{subject}\n{}\n{}\n", headers.join("\n"), String::from_utf8_lossy(&message.payload))
}

fn is_refusal(message: &Message) -> bool {
    let body: Option<Value> = serde_json::from_slice(&message.payload).ok();
    message.status == Some(StatusCode::NOT_FOUND) || body.is_some_and(|body| body.get("error").is_some())
}

async fn next(messages: &mut Subscriber) -> Message {
    tokio::time::timeout(LIMIT, messages.next()).await.expect("an answer in time").expect("connected")
}

/// One request, and all that it makes the server send.
async fn exchange(client: &Client, subject: String, body: Bytes) -> Vec<Message> {
    let wish: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut pushed = match wish["config"]["deliver_subject"].as_str() {
        Some(inbox) => Some(client.subscribe(inbox.to_owned()).await.expect("subscribed")),
        None => None,
    };
    let wanted = wish["batch"].as_u64().unwrap_or(1);
    let mut inbox = client.subscribe(ANSWERS).await.expect("subscribed");
    client.publish_with_reply(subject, ANSWERS, body).await.expect("sent");
    let mut answers = Vec::new();
    while (answers.len() as u64) < wanted {
        let answer = next(&mut inbox).await;
        if wanted > 1 && answer.status.is_some() {
            break;
        }
        answers.push(answer);
    }
    if let Some(pushed) = &mut pushed {
        let info: Value = serde_json::from_slice(&answers[0].payload).expect("JSON");
        for _ in 0..info["num_pending"].as_u64().unwrap_or(0) {
            answers.push(next(pushed).await);
        }
    }
    inbox.unsubscribe().await.expect("unsubscribed");
    answers
}
