//! Where the parts of a world listen.

use std::net::{IpAddr, SocketAddr};

use anyhow::Context as _;
use tokio::net::TcpListener;

/// The listeners of the parts that this process serves itself, and the port that is left for NATS.
pub(super) struct Ports {
    pub(super) api: TcpListener,
    pub(super) s3: TcpListener,
    pub(super) gpu: TcpListener,
    pub(super) nats: u16,
}

impl Ports {
    pub(super) async fn bind(listen: SocketAddr) -> anyhow::Result<Self> {
        let port = |offset: u16| match listen.port() {
            0 => Ok(0),
            first => first.checked_add(offset).context("--listen leaves no three ports above it"),
        };
        let nats = port(3)?;
        if nats != 0 {
            // The server would only say so in its log; whoever takes it in between is told then.
            drop(bind(listen.ip(), nats, "NATS").await?);
        }
        Ok(Self {
            api: bind(listen.ip(), port(0)?, "the api").await?,
            s3: bind(listen.ip(), port(1)?, "S3").await?,
            gpu: bind(listen.ip(), port(2)?, "the GPU stand-in").await?,
            nats,
        })
    }
}

async fn bind(ip: IpAddr, port: u16, what: &str) -> anyhow::Result<TcpListener> {
    let address = SocketAddr::new(ip, port);
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address} for {what}: is the port in use? choose another --listen"))
}

pub(super) fn url(listener: &TcpListener) -> anyhow::Result<String> {
    Ok(format!("http://{}", listener.local_addr()?))
}
