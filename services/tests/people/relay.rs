//! An address that stays, whoever answers behind it, and whatever is lost on the way.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A relay; dropped, it is gone.
pub(crate) struct Relay {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
    _task: JoinSet<()>,
}

struct State {
    /// Whoever answers; without one, connections are cut.
    server: Option<String>,
    /// Answers to submits that are lost.
    losses: u32,
}

impl Relay {
    pub(crate) async fn to(server: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let state = Arc::new(Mutex::new(State { server: None, losses: 0 }));
        let relay = Self { url, state: state.clone(), _task: JoinSet::new() };
        relay.lead_to(server);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(connection(client, state.clone()));
            }
        });
        Self { _task: task, ..relay }
    }

    pub(crate) fn lead_to(&self, server: &str) {
        self.state.lock().expect("a lock").server = Some(server.trim_start_matches("http://").to_owned());
    }

    /// Loses the answers of the next submits: they were taken, and nobody is told.
    pub(crate) fn lose(&self, losses: u32) {
        self.state.lock().expect("a lock").losses = losses;
    }

    /// How many answers are still to be lost.
    pub(crate) fn losses(&self) -> u32 {
        self.state.lock().expect("a lock").losses
    }
}

async fn connection(client: TcpStream, state: Arc<Mutex<State>>) {
    let server = state.lock().expect("a lock").server.clone();
    let Some(Ok(server)) = (match server {
        Some(server) => Some(TcpStream::connect(server).await),
        None => None,
    }) else {
        return;
    };
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    let is_submit = Arc::new(Mutex::new(false));
    let seen = is_submit.clone();
    let questions = async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
            if buffer[..length].starts_with(b"POST /api/render ") {
                *seen.lock().expect("a lock") = true;
            }
            if to_server.write_all(&buffer[..length]).await.is_err() {
                return;
            }
        }
    };
    let answers = async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from_server.read(&mut buffer).await {
            {
                let mut state = state.lock().expect("a lock");
                if *is_submit.lock().expect("a lock") && state.losses > 0 {
                    state.losses -= 1;
                    return;
                }
            }
            if to_client.write_all(&buffer[..length]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = questions => {}
        () = answers => {}
    }
}
