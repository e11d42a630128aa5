//! The embedded world of `kiln dev`, `kiln demo` and the tests: NATS, an S3 server, a GPU stand-in, and every role.

pub mod bench;
pub mod demo;
pub mod gpu;
pub mod music;
pub mod s3;
pub mod world;

use std::net::SocketAddr;
use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use crate::beacon;
use crate::stdout::print;
use world::{Options, World};

/// Settings of `kiln dev`.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Folder that keeps everything: the log, the bucket, the calls
    #[arg(long, default_value = ".kiln")]
    data: PathBuf,
    /// Address of the api, the webhook and the page; S3, the GPU stand-in and NATS take the next three ports. Port 0
    /// takes four free ones
    #[arg(long, default_value = "127.0.0.1:7700")]
    listen: SocketAddr,
    /// What the GPU stand-in does wrong, as NAME or NAME=PROBABILITY; may be repeated
    #[arg(long = "fault", value_name = "NAME[=P]")]
    faults: Vec<gpu::Chance>,
    /// From what its dice begin
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Runs the world until `stop`, then stops everything in order.
#[expect(clippy::print_stderr, reason = "people read it")]
pub async fn run(args: &Args, stop: CancellationToken) -> anyhow::Result<()> {
    let found = Options::new(&args.data, &|line| eprintln!("{line}"))?;
    let options = Options { listen: args.listen, faults: args.faults.clone(), seed: args.seed, ..found };
    let mut world = World::start(options).await?;
    let announced = beacon::announce(&args.data);
    if let Err(error) = &announced {
        tracing::warn!(%error, "other terminals will not find this world by themselves: set KILN_URL there");
    }
    // Nobody need read it.
    let _ = print(&world.welcome());
    let ended = tokio::select! {
        () = stop.cancelled() => Ok(()),
        ended = world.ended() => ended,
    };
    drop(announced);
    eprintln!("stopping");
    world.stop().await;
    ended
}
