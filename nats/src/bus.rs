//! The connection, and the two ways of asking: a request to the API, and a message for a stream.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_nats::client::RequestErrorKind;
use async_nats::{Client, ConnectOptions, Event, HeaderMap, Message, Request, ServerAddr};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::counts::{Counters, Counts};
use crate::ears::Ears;
use crate::gate::Gate;
use crate::leaderless::Leaderless;
use crate::login::{addresses, refused};
use crate::topology::RENDER;
use crate::unreadable::Unreadable;
use crate::{Cause, Error, Login, Settings};

/// How long the first connection may take, over all servers.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long one server may take, so that a frozen one leaves time for the others.
const SERVER_LIMIT: Duration = Duration::from_secs(2);
/// How long an answer may take. A leader's election takes longer than this; whoever asks tries again.
pub(crate) const ANSWER_LIMIT: Duration = Duration::from_secs(3);
/// How long a request waits for a lost connection before it fails with nothing sent.
const LINK_LIMIT: Duration = Duration::from_secs(2);
/// Finds a connection that died without a word.
const PING_EVERY: Duration = Duration::from_secs(10);
/// The longest pause between two tries to connect again.
const RECONNECT_DELAY: Duration = Duration::from_secs(1);

/// A connection that mends itself. Clones share it.
#[derive(Clone)]
pub struct Bus(Arc<Parts>);

struct Parts {
    client: Client,
    link: watch::Receiver<Link>,
    role: String,
    gate: Gate,
    unreadable: Unreadable,
    counters: Counters,
    leaderless: Arc<Leaderless>,
    ears: Ears,
}

/// What is known of the connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) is_up: bool,
    /// How often it was made.
    pub(crate) connects: u64,
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus").field("role", &self.0.role).field("link", &*self.0.link.borrow()).finish_non_exhaustive()
    }
}

/// A message's place in its stream.
#[derive(Debug, Deserialize)]
pub(crate) struct PubAck {
    pub(crate) seq: u64,
    stream: String,
}

#[derive(Deserialize)]
struct Refusal {
    error: Option<ApiError>,
}

#[derive(Deserialize)]
struct ApiError {
    code: u16,
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

impl Bus {
    /// Connects, or says within seconds which address did not answer. Later losses are mended without end.
    pub async fn connect(settings: &Settings) -> Result<Self, Error> {
        let (sender, link) = watch::channel(Link::default());
        let leaderless = Arc::<Leaderless>::default();
        let address = addresses(&settings.servers);
        let failed = |source| Error::Connect { address: address.clone(), source };
        let servers: Result<Vec<ServerAddr>, _> = settings.servers.split(',').map(|url| url.trim().parse()).collect();
        let servers = servers.map_err(|error| failed(Cause::client(error)))?;
        let options = options(settings, sender, leaderless.clone()).await.map_err(|error| Error::Login {
            address: address.clone(),
            variables: settings.login.variables(),
            source: Cause::client(error),
        })?;
        let connecting = tokio::time::timeout(CONNECT_LIMIT, options.connect(servers));
        let connected = connecting.await.map_err(|_| failed(Cause::Timeout))?;
        let client = connected.map_err(|error| refused(settings, address.clone(), error))?;
        let bus = Self(Arc::new(Parts {
            client,
            link,
            role: settings.role.clone(),
            gate: Gate::default(),
            unreadable: Unreadable::default(),
            counters: Counters::default(),
            leaderless,
            ears: Ears::default(),
        }));
        bus.wait_for_link().await.map_err(failed)?;
        Ok(bus)
    }

    /// The client itself, for subscriptions that no stream stands behind.
    pub fn client(&self) -> &Client {
        &self.0.client
    }

    /// Whether the connection stands now.
    pub fn is_connected(&self) -> bool {
        self.0.client.connection_state() == async_nats::connection::State::Connected
    }

    /// Waits until everything that was sent, acknowledgements too, has reached the server. Before exit.
    pub async fn flush(&self) {
        let flushed = tokio::time::timeout(LINK_LIMIT, self.0.client.flush()).await;
        if !matches!(flushed, Ok(Ok(()))) {
            tracing::warn!("what was sent last may not have reached the server");
        }
    }

    /// What happened on this connection.
    pub fn counts(&self) -> Counts {
        self.0.counters.read()
    }

    /// Whose connection it is.
    pub fn role(&self) -> &str {
        &self.0.role
    }

    pub(crate) fn unreadable(&self) -> &Unreadable {
        &self.0.unreadable
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.0.gate
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.0.counters
    }

    pub(crate) fn ears(&self) -> &Ears {
        &self.0.ears
    }

    pub(crate) fn link(&self) -> watch::Receiver<Link> {
        self.0.link.clone()
    }

    /// Refuses to queue behind a lost connection: what was not sent cannot be stored later.
    pub(crate) async fn wait_for_link(&self) -> Result<(), Cause> {
        let mut link = self.link();
        if !link.borrow().is_up || !self.is_connected() {
            let _ = tokio::time::timeout(LINK_LIMIT, link.wait_for(|link| link.is_up)).await;
        }
        if self.is_connected() { Ok(()) } else { Err(Cause::Disconnected) }
    }

    /// A request to the server's API, such as `STREAM.INFO.RENDER`.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, what: &str, body: &impl Serialize) -> Result<T, Cause> {
        let body = serde_json::to_vec(body).expect("our own requests are plain data");
        self.request(format!("$JS.API.{what}"), HeaderMap::new(), body.into()).await
    }

    /// A request without a body, to whatever serves this subject.
    pub(crate) async fn request_plain<T: DeserializeOwned>(&self, subject: &str) -> Result<T, Cause> {
        self.request(subject.to_owned(), HeaderMap::new(), Bytes::new()).await
    }

    /// A message for the stream that holds this subject, if the gate lets it pass.
    pub(crate) async fn put(&self, subject: String, headers: HeaderMap, payload: Bytes) -> Result<PubAck, Cause> {
        self.wait_for_link().await?;
        if let Err(Cause::Unchecked) = self.may_write() {
            let _ = tokio::time::timeout(LINK_LIMIT, self.writable()).await;
        }
        self.may_write()?;
        let ack: PubAck = self.request(subject, headers, payload).await?;
        if ack.stream == RENDER {
            self.0.gate.note(ack.seq);
        }
        Ok(ack)
    }

    /// Whether the gate lets a message pass now.
    pub(crate) fn may_write(&self) -> Result<(), Cause> {
        self.0.gate.check(self.0.link.borrow().connects)
    }

    pub(crate) async fn answer(&self, to: String, headers: HeaderMap, body: Bytes) -> Result<Message, Cause> {
        self.wait_for_link().await?;
        let request = Request::new().headers(headers).payload(body);
        self.0.client.send_request(to, request).await.map_err(|error| match error.kind() {
            RequestErrorKind::TimedOut => Cause::Timeout,
            RequestErrorKind::NoResponders => Cause::NoResponders,
            _ => Cause::client(error),
        })
    }

    /// Fails at once if the connection gets lost meanwhile. For reading: nobody knows what became of a message.
    pub(crate) async fn unless_lost<T>(&self, asking: impl Future<Output = Result<T, Cause>>) -> Result<T, Cause> {
        let mut link = self.link();
        let connects = link.borrow().connects;
        tokio::select! {
            answer = asking => answer,
            _ = link.wait_for(|link| !link.is_up || link.connects != connects) => Err(Cause::Lost),
        }
    }

    async fn request<T: DeserializeOwned>(&self, to: String, headers: HeaderMap, body: Bytes) -> Result<T, Cause> {
        let result = self.request_once(to, headers, body).await;
        if self.0.leaderless.note(result.as_ref().err()) {
            tracing::warn!("the NATS server answers, but no leader does; another server is tried");
            // It fails only when the client has ended.
            let _ = self.0.client.force_reconnect().await;
        }
        result
    }

    async fn request_once<T: DeserializeOwned>(&self, to: String, headers: HeaderMap, body: Bytes) -> Result<T, Cause> {
        let answer = self.answer(to, headers, body).await?;
        let refusal: Refusal = serde_json::from_slice(&answer.payload).map_err(Cause::Answer)?;
        if let Some(ApiError { code, err_code, description }) = refusal.error {
            return Err(Cause::Refused { code: err_code, status: code, description });
        }
        serde_json::from_slice(&answer.payload).map_err(Cause::Answer)
    }
}

async fn options(
    settings: &Settings,
    link: watch::Sender<Link>,
    leaderless: Arc<Leaderless>,
) -> std::io::Result<ConnectOptions> {
    let link = Arc::new(link);
    let chooser = leaderless.clone();
    let options = ConnectOptions::new()
        .name(format!("kiln {}", settings.role))
        .custom_inbox_prefix(format!("_INBOX.{}", settings.role))
        .connection_timeout(SERVER_LIMIT)
        .request_timeout(Some(ANSWER_LIMIT))
        .ping_interval(PING_EVERY)
        .reconnect_delay_callback(|tries| RECONNECT_DELAY.min(Duration::from_millis(50 * tries as u64)))
        .reconnect_to_server_callback(move |servers, _| std::future::ready(chooser.another(&servers)))
        .event_callback(move |event| {
            note(&link, &event);
            match event {
                Event::Connected => leaderless.arrived(),
                Event::ServerError(_) => leaderless.denied(),
                _ => {}
            }
            std::future::ready(())
        });
    let options = match &settings.ca {
        Some(file) => options.add_root_certificates(file.clone()).require_tls(true),
        None => options,
    };
    Ok(match &settings.login {
        Login::None => options,
        Login::Credentials(file) => options.credentials_file(file).await?,
        Login::Nkey(seed) => options.nkey(seed.expose().to_owned()),
        Login::Password(user, password) => options.user_and_password(user.clone(), password.expose().to_owned()),
    })
}

fn note(link: &watch::Sender<Link>, event: &Event) {
    match event {
        Event::Connected => link.send_modify(|link| *link = Link { is_up: true, connects: link.connects + 1 }),
        Event::Disconnected | Event::Closed => link.send_modify(|link| link.is_up = false),
        // A denied request is never answered: without this line it would look like a slow server.
        Event::ServerError(error) => tracing::error!(%error, "the NATS server refused something"),
        Event::ClientError(error) => tracing::warn!(%error, "the NATS client failed"),
        Event::SlowConsumer(_) => tracing::warn!("a subscription lost messages: it was read too slowly"),
        Event::LameDuckMode | Event::Draining => tracing::info!(%event, "the NATS connection changes"),
    }
}
