//! What kind of world it is.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use events::Policy;
use nats::tool;
use nats::topology::Tunables;

use crate::config;
use crate::dev::gpu;

/// What kind of world.
pub struct Options {
    /// Folder that keeps everything.
    pub data: PathBuf,
    /// The api's address; with port 0 every part takes a free port, else the others take the next three.
    pub listen: SocketAddr,
    /// The program `kiln`, which the GPU stand-in runs.
    pub kiln: PathBuf,
    /// The program `nats-server`.
    pub nats_server: PathBuf,
    /// The program `ffmpeg`.
    pub ffmpeg: PathBuf,
    /// What the GPU stand-in does wrong.
    pub faults: Vec<gpu::Chance>,
    /// From what its dice begin.
    pub seed: u64,
    /// Whether audio may be given by its address.
    pub audio_urls: config::AudioUrls,
    /// How many clients the api serves at once, and which.
    pub clients: config::Clients,
    /// How many renders may be in flight.
    pub tunables: Tunables,
    /// How patient the worker is.
    pub policy: Policy,
    /// Where containers are told to report, in the place of the api's address.
    pub callback_url: Option<String>,
    /// What else every container has in its environment.
    pub container: BTreeMap<String, String>,
    /// Where the worker looks for the GPU provider, in the place of its address.
    pub modal_url: Option<String>,
    /// A GPU provider in the place of the stand-in.
    pub provider: Option<Router>,
    /// A store in the place of the folder's.
    pub store: Option<Router>,
}

impl Options {
    /// A world on free ports, with the programs found, or fetched once; `report` tells people of that.
    pub fn new(data: &Path, report: &dyn Fn(&str)) -> anyhow::Result<Self> {
        Ok(Self {
            data: data.to_owned(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            kiln: std::env::current_exe().context("this program does not know where it lies")?,
            nats_server: tool::NATS_SERVER.find(report)?,
            ffmpeg: tool::FFMPEG.find(report)?,
            faults: Vec::new(),
            seed: 0,
            audio_urls: config::AudioUrls::default(),
            clients: config::Clients::default(),
            tunables: Tunables::default(),
            policy: policy(),
            callback_url: None,
            container: BTreeMap::new(),
            modal_url: None,
            provider: None,
            store: None,
        })
    }
}

/// Less patient than in production, since the stand-in is near and its containers are often killed.
fn policy() -> Policy {
    let [start, silence, ask] = [30, 10, 5].map(Duration::from_secs);
    Policy { start, silence, ask, ..Policy::default() }
}
