//! Everything that kiln needs, on loopback and in one folder.

mod folder;
mod options;
mod ports;
mod settings;

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use events::Secret;
use nats::Bus;
use nats::server::Server;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{gpu, s3};
use crate::{beacon, client, http, roles};
use folder::{Secrets, lock, secrets};
pub use options::Options;
use ports::{Ports, url};
use settings::{gpu_settings, settings};

const BUCKET: &str = "kiln";
const ACCESS_KEY: &str = "kiln-dev";
/// How long everything may take to be ready.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// Where everything is: what `dev.json` says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Addresses {
    /// The api, the webhook and the page.
    pub api: String,
    /// The log.
    pub nats: String,
    /// The store.
    pub s3: String,
    /// The bucket's name.
    pub bucket: String,
    /// The GPU stand-in.
    pub modal: String,
    /// The process that holds it all.
    pub pid: u32,
}

/// A running world.
pub struct World {
    /// Where everything is.
    pub addresses: Addresses,
    data: PathBuf,
    nats: Server,
    roles: JoinSet<anyhow::Result<()>>,
    parts: JoinSet<anyhow::Result<()>>,
    stop_roles: CancellationToken,
    stop_parts: CancellationToken,
    _lock: File,
}

impl World {
    /// Starts every part, and comes back when all of them are ready.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let data = &options.data;
        fs::create_dir_all(data).with_context(|| format!("cannot make the folder {}", data.display()))?;
        let lock = lock(data)?;
        let secrets = secrets(data)?;
        let ports = Ports::bind(options.listen).await?;
        let nats = start_nats(&options, ports.nats).await?;
        let (stop_parts, stop_roles) = (CancellationToken::new(), CancellationToken::new());
        let addresses = Addresses {
            api: url(&ports.api)?,
            nats: nats.url().to_owned(),
            s3: url(&ports.s3)?,
            bucket: BUCKET.into(),
            modal: url(&ports.gpu)?,
            pid: std::process::id(),
        };
        let mut served = JoinSet::new();
        serve_parts(&mut served, &options, &secrets, ports.s3, ports.gpu, &stop_parts)?;
        let settings = settings(&addresses, nats.monitor_url(), &secrets, &options);
        let bus = roles::connect(&settings.nats, "operator").await?;
        nats::topology::provision(&bus, &options.tunables).await?;
        let mut roles = JoinSet::new();
        let (listener, token, policy) = (ports.api, stop_roles.clone(), options.policy.clone());
        roles.spawn(async move { roles::serve_all(&settings, policy, Some(listener), token).await });
        let ready = ready(&addresses.api);
        tokio::select! {
            ready = ready => ready?,
            ended = first(&mut roles) => ended?,
        }
        let world =
            Self { addresses, data: data.clone(), nats, roles, parts: served, stop_roles, stop_parts, _lock: lock };
        fs::write(data.join(beacon::ADDRESSES), serde_json::to_vec_pretty(&world.addresses)?)?;
        Ok(world)
    }

    /// Comes back when a part ends by itself, which none should.
    pub async fn ended(&mut self) -> anyhow::Result<()> {
        tokio::select! {
            ended = first(&mut self.roles) => ended,
            ended = first(&mut self.parts) => ended,
        }
    }

    /// A connection to the log with every right, for those who look.
    pub async fn bus(&self) -> Result<Bus, nats::Error> {
        Bus::connect(&nats::Settings::new(&self.addresses.nats, "operator")).await
    }

    /// The log's server, for tests that mistreat it.
    pub fn nats(&mut self) -> &mut Server {
        &mut self.nats
    }

    /// The roles first, then what they need, then the log.
    pub async fn stop(mut self) {
        self.stop_roles.cancel();
        while self.roles.join_next().await.is_some() {}
        self.stop_parts.cancel();
        while self.parts.join_next().await.is_some() {}
        self.nats.stop();
        // A folder that is gone already needs no tidying.
        let _ = fs::remove_file(self.data.join(beacon::ADDRESSES));
    }

    /// Every address, and what to try next.
    pub fn welcome(&self) -> String {
        let Addresses { api, nats, s3, bucket, modal, .. } = &self.addresses;
        let data = self.data.display();
        format!(
            "\
kiln is up

  page      {api}/
  api       {api}
  nats      {nats}
  s3        {s3}  bucket {bucket}
  modal     {modal}  (a stand-in on this machine)
  data      {data}

try in another terminal

  kiln submit song.flac -o song.mp4
  kiln list
  kiln explain JOB
  curl -F audio=@song.flac {api}/api/render
  nats --server {nats} stream view RENDER
  nats --server {nats} kv watch JOBS

Ctrl-C stops everything"
        )
    }
}

async fn ready(api: &str) -> anyhow::Result<()> {
    let http = client::http_client(Duration::from_secs(5));
    let url = format!("{api}/readyz");
    let mut reason = String::new();
    let asking = async {
        loop {
            match http.get(&url).send().await {
                Ok(response) if response.status().is_success() => break,
                Ok(response) => reason = response.text().await.unwrap_or_default(),
                Err(_) => {}
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let asked = tokio::time::timeout(READY_LIMIT, asking).await;
    asked.with_context(|| format!("the roles were not ready within 30 s: {reason}"))
}

/// The first part to end, which none should.
async fn first(tasks: &mut JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
    match tasks.join_next().await {
        Some(ended) => ended.context("a part of the world panicked")?.and_then(|()| bail!("a part of the world ended")),
        None => std::future::pending().await,
    }
}

async fn start_nats(options: &Options, port: u16) -> anyhow::Result<Server> {
    let settings =
        nats::server::Options { port, ..nats::server::Options::new(&options.nats_server, options.data.join("nats")) };
    Ok(Server::start(settings).await?)
}

fn serve_parts(
    parts: &mut JoinSet<anyhow::Result<()>>,
    options: &Options,
    secrets: &Secrets,
    s3: TcpListener,
    gpu: TcpListener,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let store = match &options.store {
        Some(store) => store.clone(),
        None => s3::router(&s3::Settings {
            folder: options.data.join("s3"),
            bucket: BUCKET.into(),
            access_key: ACCESS_KEY.into(),
            secret_key: Secret::new(&*secrets.s3),
        })
        .context("the S3 server did not start")?,
    };
    let token = stop.clone();
    parts.spawn(async move {
        http::serve(s3, store, token).await;
        anyhow::Ok(())
    });
    serve_provider(parts, options, secrets, gpu, stop)
}

fn serve_provider(
    parts: &mut JoinSet<anyhow::Result<()>>,
    options: &Options,
    secrets: &Secrets,
    listener: TcpListener,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let router = if let Some(router) = options.provider.clone() {
        router
    } else {
        let settings = gpu_settings(options, secrets, url(&listener)?);
        let executor = gpu::Executor::open(settings).context("the GPU stand-in did not start")?;
        let (router, token) = (executor.router(), stop.clone());
        parts.spawn(async move {
            executor.run(&token).await;
            anyhow::Ok(())
        });
        router
    };
    let token = stop.clone();
    parts.spawn(async move {
        http::serve(listener, router, token).await;
        anyhow::Ok(())
    });
    Ok(())
}
