//! A whole kiln on free ports in a folder of its own, for one test.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use events::wire::client::{Accepted, History, Poll, RenderRequest};
use events::{JobId, Status};
use kiln::bucket::Bucket;
use kiln::client::kiln::Client;
use kiln::dev::music;
use kiln::dev::world::{Options, World};

use crate::invariants::Evidence;
use crate::support::{kiln, wait_for};

/// Nothing in a test takes longer, also on a slow machine.
pub(crate) const LIMIT: Duration = Duration::from_mins(2);

/// A running kiln.
pub(crate) struct TestWorld {
    world: Option<World>,
    pub(crate) client: Client,
    pub(crate) http: reqwest::Client,
    pub(crate) folder: tempfile::TempDir,
}

impl TestWorld {
    pub(crate) async fn start() -> Self {
        Self::start_with(|options| options).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(Options) -> Options) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let found = Options::new(&folder.path().join("data"), &|_| {}).expect("the programs are found or fetched");
        let options = Options { kiln: kiln().to_owned(), listen: SocketAddr::from(([127, 0, 0, 1], 0)), ..found };
        let world = World::start(change(options)).await.expect("the world starts");
        let client = Client::new(&world.addresses.api);
        let http = kiln::client::http_client(Duration::from_secs(30));
        Self { world: Some(world), client, http, folder }
    }

    pub(crate) fn world(&mut self) -> &mut World {
        self.world.as_mut().expect("it runs until `stop`")
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.world.as_ref().expect("it runs until `stop`").addresses.api)
    }

    /// Music of so many seconds, in a file: two seconds of it, again and again, since making it takes a while unoptimised.
    pub(crate) fn music(&self, seconds: u32) -> PathBuf {
        const HEADER: usize = 44;
        let piece = music::wav(2.0);
        let wanted = seconds as usize * (piece.len() - HEADER) / 2;
        let mut bytes = piece[..HEADER].to_vec();
        bytes.extend(piece[HEADER..].iter().cycle().take(wanted));
        let length = |bytes: usize| u32::try_from(bytes).expect("it is short").to_le_bytes();
        bytes[4..8].copy_from_slice(&length(wanted + HEADER - 8));
        bytes[40..44].copy_from_slice(&length(wanted));
        let file = self.folder.path().join(format!("music-{seconds}.wav"));
        std::fs::write(&file, bytes).expect("the folder can be written to");
        file
    }

    pub(crate) async fn submit(&self, audio: &Path) -> Accepted {
        self.client.submit(audio, &RenderRequest::default(), |_| {}).await.expect("the job is accepted")
    }

    /// The first poll that fits.
    pub(crate) async fn wait_for(&self, job: JobId, fits: impl Fn(&Poll) -> bool) -> Poll {
        wait_for("the poll", async || {
            let poll = self.client.poll(job).await.expect("the poll is answered");
            if fits(&poll) { Some(poll) } else { None }
        })
        .await
    }

    pub(crate) async fn wait_for_end(&self, job: JobId) -> Poll {
        self.wait_for(job, |poll| poll.status.is_final()).await
    }

    pub(crate) async fn wait_for_status(&self, job: JobId, status: Status) -> Poll {
        self.wait_for(job, |poll| poll.status == status || poll.status.is_final()).await
    }

    /// The kinds of a job's events, in order, but for `dispatched`: it is not written where the container was faster.
    pub(crate) async fn kinds(&self, job: JobId) -> Vec<String> {
        let History { events } = self.client.history(job).await.expect("the history is answered");
        events.into_iter().map(|event| event.event).filter(|kind| kind != "dispatched").collect()
    }

    /// A secret of the world's own: `webhook`, `s3` or `modal`.
    pub(crate) fn secret(&self, name: &str) -> String {
        secrets(&self.folder.path().join("data"))[name].clone()
    }

    /// The world's store, as its roles are told of it.
    pub(crate) fn bucket(&self) -> kiln::config::Bucket {
        let addresses = &self.world.as_ref().expect("it runs until `stop`").addresses;
        kiln::config::Bucket {
            r2_account_id: None,
            r2_access_key_id: "kiln-dev".into(),
            r2_secret_access_key: events::Secret::new(self.secret("s3")),
            r2_bucket_name: addresses.bucket.clone(),
            r2_endpoint: Some(addresses.s3.clone()),
        }
    }

    /// The stand-in for Modal.
    pub(crate) fn modal(&self) -> &str {
        &self.world.as_ref().expect("it runs until `stop`").addresses.modal
    }

    /// Stops everything. Whatever the test did, every promise holds, and no secret lies in the log or the bucket.
    pub(crate) async fn stop(mut self) {
        let (calls, bucket) = (self.calls().await, Bucket::new(&self.bucket()).expect("a bucket"));
        if let Some(world) = self.world.take() {
            // A test may have left the log's server dead.
            if let Ok(bus) = world.bus().await {
                let data = self.folder.path().join("data");
                crate::webhook::scan(&bus, &crate::webhook::secrets(&data)).await;
                Evidence { bus: &bus, bucket, calls }.check().await;
            }
            world.stop().await;
        }
    }
}

/// What a world in this folder keeps to itself, by name.
pub(crate) fn secrets(data: &Path) -> BTreeMap<String, String> {
    let secrets = std::fs::read(data.join("secrets.json")).expect("the secrets are there");
    serde_json::from_slice(&secrets).expect("they are JSON")
}

/// Processes whose command line names this folder.
pub(crate) fn processes_of(folder: &Path) -> Vec<String> {
    let folder = folder.to_string_lossy().into_owned();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " ")).filter(|line| line.contains(&folder)).collect()
}
