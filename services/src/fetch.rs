//! Audio by URL: fetched by the worker, from public addresses alone.
//!
//! Each hop is looked at anew: its text, then every address that its name has. The connection is made to those very
//! addresses, so that a name cannot mean something else a moment later. Nobody outside learns more than that it did not
//! work: an answer that tells "refused" from "no such host" would map the network that we stand in.

mod address;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use events::{AudioKey, JobId};
use futures_util::{Stream, StreamExt};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Response, StatusCode, Url, header};

use crate::audio;
use crate::bucket::{self, Bucket};
use crate::client;
pub use address::is_public;

/// Redirects that are followed.
const MAX_REDIRECTS: usize = 5;
/// Ports that are asked.
const PORTS: [u16; 2] = [80, 443];

/// What may be fetched, and how long that may take.
#[derive(Clone)]
pub struct Rules {
    /// Addresses that may be asked although they are not public; for development and tests.
    pub exempt: Vec<SocketAddr>,
    /// Who tells the addresses of a name.
    pub names: Arc<dyn Resolve>,
    /// Longest silence.
    pub idle: Duration,
    /// Longest time for all of it.
    pub total: Duration,
}

/// Why nothing was fetched: for our log, never for a client.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The text is no address that is fetched from.
    #[error("the address is no plain http or https one")]
    Text,
    /// A port that is not for the web.
    #[error("the port is neither 80 nor 443")]
    Port,
    /// An address that is not everybody's.
    #[error("the address is not public")]
    Private,
    /// It led on and on, or nowhere.
    #[error("the address redirects too often, or nowhere")]
    Redirects,
    /// The server said no.
    #[error("the server answered {0}")]
    Status(StatusCode),
    /// What came is packed, and is not unpacked here.
    #[error("the audio came with a content encoding")]
    Encoded,
    /// What came cannot be used.
    #[error("what came is no audio, or too long")]
    Audio,
    /// Nobody answered, or not to the end.
    #[error("the server did not answer, or not to the end")]
    Broken,
    /// It took too long.
    #[error("it took too long")]
    Slow,
    /// The bucket.
    #[error(transparent)]
    Store(#[from] bucket::Error),
}

impl Refusal {
    /// Whether the same may work a little later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Status(status) => {
                status.is_server_error()
                    || matches!(*status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
            }
            Self::Broken | Self::Store(_) => true,
            Self::Text | Self::Port | Self::Private | Self::Redirects | Self::Encoded | Self::Audio | Self::Slow => {
                false
            }
        }
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            exempt: Vec::new(),
            names: Arc::new(System),
            idle: Duration::from_secs(20),
            total: Duration::from_mins(15),
        }
    }
}

impl Rules {
    /// Whether the text alone allows it. Names are not looked up here.
    pub fn check(&self, text: &str) -> Result<Url, Refusal> {
        let url = Url::parse(text).map_err(|_| Refusal::Text)?;
        let is_plain = matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.host_str().is_some_and(|host| !host.is_empty());
        if !is_plain {
            return Err(Refusal::Text);
        }
        let port = url.port_or_known_default().ok_or(Refusal::Port)?;
        if !PORTS.contains(&port) && !self.exempt.iter().any(|exempt| exempt.port() == port) {
            return Err(Refusal::Port);
        }
        if literal(&url).is_some_and(|address| !self.allows(SocketAddr::new(address, port))) {
            return Err(Refusal::Private);
        }
        Ok(url)
    }

    fn allows(&self, address: SocketAddr) -> bool {
        self.exempt.contains(&address) || is_public(address.ip()) && PORTS.contains(&address.port())
    }

    /// Fetches the job's audio and stores it in its place. If it is there already, it stays.
    pub async fn fetch(&self, bucket: &Bucket, job: JobId, url: &str) -> Result<AudioKey, Refusal> {
        let fetching = async {
            let body = self.open(url).await?;
            match audio::store(bucket, job, body).await {
                Ok(stored) | Err(audio::Refused::Taken(stored)) => Ok(stored.key),
                Err(audio::Refused::Empty | audio::Refused::NotAudio | audio::Refused::TooLong) => Err(Refusal::Audio),
                Err(audio::Refused::Body(refusal)) => Err(refusal),
                Err(audio::Refused::Store(error)) => Err(Refusal::Store(error)),
            }
        };
        tokio::time::timeout(self.total, fetching).await.map_err(|_| Refusal::Slow)?
    }

    /// The body at the end of the redirects.
    async fn open(&self, text: &str) -> Result<impl Stream<Item = Result<Bytes, Refusal>> + Unpin, Refusal> {
        let mut url = self.check(text)?;
        for _ in 0..=MAX_REDIRECTS {
            let response = self.get(&url).await?;
            if response.status().is_redirection() {
                let to = response.headers().get(header::LOCATION).and_then(|to| to.to_str().ok());
                let to = to.and_then(|to| url.join(to).ok()).ok_or(Refusal::Redirects)?;
                url = self.check(to.as_str())?;
                continue;
            }
            let body = usable(response)?.bytes_stream();
            return Ok(body.map(|chunk| chunk.map_err(|_| Refusal::Broken)));
        }
        Err(Refusal::Redirects)
    }

    /// One hop, to the addresses that were looked at and to no others.
    async fn get(&self, url: &Url) -> Result<Response, Refusal> {
        let host = url.host_str().ok_or(Refusal::Text)?;
        let addresses = self.addresses(url).await?;
        let http = client::pinned(self.idle, host, &addresses);
        let request = http.get(url.clone()).header(header::ACCEPT_ENCODING, "identity");
        request.send().await.map_err(|_| Refusal::Broken)
    }

    /// Every address of the host, each of them allowed.
    async fn addresses(&self, url: &Url) -> Result<Vec<SocketAddr>, Refusal> {
        let port = url.port_or_known_default().ok_or(Refusal::Port)?;
        let found: Vec<SocketAddr> = if let Some(address) = literal(url) {
            vec![SocketAddr::new(address, port)]
        } else {
            let name: Name = url.host_str().unwrap_or_default().parse().map_err(|_| Refusal::Text)?;
            let found = self.names.resolve(name).await.map_err(|_| Refusal::Broken)?;
            found.map(|address| SocketAddr::new(address.ip(), port)).collect()
        };
        if found.is_empty() {
            return Err(Refusal::Broken);
        }
        if found.iter().all(|address| self.allows(*address)) { Ok(found) } else { Err(Refusal::Private) }
    }
}

/// A plain 200.
fn usable(response: Response) -> Result<Response, Refusal> {
    if response.status() != StatusCode::OK {
        return Err(Refusal::Status(response.status()));
    }
    let is_packed = response.headers().get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity");
    if is_packed {
        return Err(Refusal::Encoded);
    }
    if response.content_length().is_some_and(|length| length > audio::MAX_BYTES) {
        return Err(Refusal::Audio);
    }
    Ok(response)
}

/// The address that stands in the text itself, in whatever notation.
fn literal(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// The names of this machine's own resolver.
struct System;

impl Resolve for System {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
