//! Where the servers are, how to log in, and what is wrong if they take neither.

use std::path::PathBuf;

use async_nats::{ConnectError, ConnectErrorKind, ServerAddr};
use events::Secret;

use crate::{Cause, Error};

/// Where the servers are, and who we are.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `NATS_URL`: one server or several, by comma.
    pub servers: String,
    /// The role: names the connection, the inboxes (`_INBOX.{role}.…`) and the source of events.
    pub role: String,
    /// How to log in.
    pub login: Login,
    /// `NATS_CA`: a file of certificates to trust; with it the connection must be encrypted.
    pub ca: Option<PathBuf>,
}

impl Settings {
    /// Without a login and without certificates.
    pub fn new(servers: impl Into<String>, role: impl Into<String>) -> Self {
        Self { servers: servers.into(), role: role.into(), login: Login::None, ca: None }
    }
}

/// What the server is shown.
#[derive(Debug, Clone)]
pub enum Login {
    /// Nothing.
    None,
    /// `NATS_CREDS`: a file with a token and a seed.
    Credentials(PathBuf),
    /// `NATS_NKEY`: a seed.
    Nkey(Secret),
    /// `NATS_USER` and `NATS_PASSWORD`.
    Password(String, Secret),
}

impl Login {
    pub(crate) fn variables(&self) -> &'static str {
        match self {
            Self::None => "set `NATS_CREDS`, `NATS_NKEY` or `NATS_USER`",
            Self::Credentials(_) => "`NATS_CREDS`",
            Self::Nkey(_) => "`NATS_NKEY`",
            Self::Password(..) => "`NATS_USER`, `NATS_PASSWORD`",
        }
    }
}

/// The server's no, or what stands before it, by what has to be changed.
pub(crate) fn refused(settings: &Settings, address: String, error: ConnectError) -> Error {
    let (kind, is_untrusted) = (error.kind(), is_untrusted(&error));
    let source = Cause::client(error);
    match kind {
        _ if is_untrusted => Error::Trust { address, source },
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
            Error::Login { address, variables: settings.login.variables(), source }
        }
        ConnectErrorKind::Tls => Error::Trust { address, source },
        ConnectErrorKind::ServerParse
        | ConnectErrorKind::Dns
        | ConnectErrorKind::TimedOut
        | ConnectErrorKind::Io
        | ConnectErrorKind::MaxReconnects => Error::Connect { address, source },
    }
}

/// A handshake that fails is an error of the socket for the client library, with data that it does not like.
fn is_untrusted(error: &ConnectError) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    source.is_some_and(|source| source.kind() == std::io::ErrorKind::InvalidData)
}

/// Host and port of each server, without what a URL may hide.
pub(crate) fn addresses(servers: &str) -> String {
    let plain = |url: &str| match url.trim().parse::<ServerAddr>() {
        Ok(server) => format!("{}:{}", server.host(), server.port()),
        Err(_) => "an address that is no URL".to_owned(),
    };
    servers.split(',').map(plain).collect::<Vec<_>>().join(", ")
}
