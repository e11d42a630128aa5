//! A connection to the log that loses what it is told to lose.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What is lost from the first request that is published on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    Nothing,
    /// What the server says.
    Answers,
    /// What the client says, until the loss is mended: then it all arrives.
    Questions,
}

pub(crate) struct Wire {
    pub(crate) url: String,
    loss: Arc<watch::Sender<Loss>>,
    /// Whether the request was published.
    struck: watch::Receiver<bool>,
    _tasks: JoinSet<()>,
}

impl Wire {
    pub(crate) async fn to(server: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let url = format!("nats://{}", listener.local_addr().expect("an address"));
        let to = server.trim_start_matches("nats://").to_owned();
        let loss = Arc::new(watch::channel(Loss::Nothing).0);
        let (strike, struck) = watch::channel(false);
        let (strike, shared) = (Arc::new(strike), loss.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&to).await.expect("a server");
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                connections.spawn(questions(from_client, to_server, shared.subscribe(), strike.clone()));
                connections.spawn(answers(from_server, to_client, shared.subscribe(), strike.subscribe()));
            }
        });
        Self { url, loss, struck, _tasks: tasks }
    }

    pub(crate) fn lose(&self, loss: Loss) {
        self.loss.send_replace(loss);
    }

    /// Comes back when a request was published and what is to be lost is being lost.
    pub(crate) async fn struck(&mut self) {
        self.struck.wait_for(|struck| *struck).await.expect("the wire is there");
    }
}

async fn questions(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut loss: watch::Receiver<Loss>,
    strike: Arc<watch::Sender<bool>>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let piece = &buffer[..length];
        let is_request =
            piece.windows(10).any(|window| window == b".requested") && piece.windows(4).any(|w| w == b"HPUB");
        if is_request && *loss.borrow() != Loss::Nothing {
            strike.send_replace(true);
        }
        if *strike.borrow() && loss.wait_for(|loss| *loss != Loss::Questions).await.is_err() {
            return;
        }
        if to.write_all(piece).await.is_err() {
            return;
        }
    }
}

async fn answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    loss: watch::Receiver<Loss>,
    struck: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let is_lost = *struck.borrow() && *loss.borrow() == Loss::Answers;
        if !is_lost && to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
