//! The one way in which kiln speaks HTTP to others.

pub mod kiln;

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::{Client, ClientBuilder, redirect};

/// How long a connection may take to be made.
pub const CONNECT: Duration = Duration::from_secs(10);

/// A client that follows no redirect and sends no cookie. `idle` is the longest silence between two pieces of an
/// answer; what a whole request may take is the caller's to say.
///
/// # Panics
/// Never: the cryptography that it needs is put in place first.
pub fn http_client(idle: Duration) -> Client {
    // It fails if another call was first: then it is in place.
    let _ = rustls::crypto::ring::default_provider().install_default();
    builder(idle).build().unwrap_or_else(|_| {
        tracing::warn!("this system has no CA certificates, so that no https server can be trusted: install them");
        builder(idle).tls_certs_only([]).build().expect("without certificates there is nothing left to fail")
    })
}

/// A client for one host, which it reaches at these addresses and knows no others; no proxy stands between.
///
/// # Panics
/// Never, as [`http_client`].
pub fn pinned(idle: Duration, host: &str, addresses: &[SocketAddr]) -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let pinned = || builder(idle).no_proxy().resolve_to_addrs(host, addresses);
    pinned().build().unwrap_or_else(|_| {
        pinned().tls_certs_only([]).build().expect("without certificates there is nothing left to fail")
    })
}

fn builder(idle: Duration) -> ClientBuilder {
    Client::builder()
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT)
        .read_timeout(idle)
        .user_agent(concat!("kiln/", env!("CARGO_PKG_VERSION")))
}
