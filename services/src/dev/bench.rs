//! `kiln bench`: what a job costs when nothing is rendered, beside a loop that only makes the same durable writes.
//!
//! Clients, roles, store, provider and nats-server share this machine, so that only ratios say something: parts that are
//! compared are measured in turns, in one run.

mod bare;
mod load;
mod provider;
mod store;
mod usage;

use std::time::{Duration, Instant};

use anyhow::ensure;
use events::Kind;
use nats::topology::Tunables;
use nats::{Bus, bench};
use tokio_util::sync::CancellationToken;

use super::world::{Options, World};
use crate::config;
use crate::stdout::{Closed, print};
use bare::Bare;
use load::Load;
use provider::Provider;
use usage::Usage;

/// Life and the bare loop take turns, so that whatever else the machine does disturbs both.
const ROUNDS: u64 = 4;

/// Settings of `kiln bench`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "\
Everything runs on loopback in a private world: nats-server with `sync_interval: always`, an S3 server that keeps all in
memory, the four roles as `kiln serve` runs them, and a provider that calls back at once. A ratio says how near kiln
comes to the bare loop: as many synced writes as kiln made in the same run, of the same sizes, with the same headers and
conditions, in the same order (each fact upon the one before it, each entry behind its fact and beside the next one), for
as many jobs at once, and nothing else. Use a release build on a machine that does nothing else; compare runs by their
ratios.")]
pub struct Args {
    /// Clients at once, each with one job after another; twice as many renders may be in flight, so that none waits for the
    /// place of one that has just ended
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=256))]
    clients: u32,
    /// Jobs that are timed from the request to the end
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..=50_000))]
    jobs: u64,
    /// Jobs that wait in the queue until all of them are there, and then are worked off
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=50_000))]
    drain: u64,
    /// Jobs that come one at a time, each to an idle kiln
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    idle: u64,
    /// Containers do not claim their attempts, as those of other apps
    #[arg(long)]
    no_claims: bool,
}

/// Runs the bench, and prints each figure as soon as there is one. An error if any job did not end as it should.
#[expect(clippy::print_stderr, reason = "people read it")]
pub async fn run(args: &Args, stop: CancellationToken) -> anyhow::Result<()> {
    let folder = tempfile::Builder::new().prefix("kiln-bench-").tempdir()?;
    let provider = Provider::new(!args.no_claims);
    let clients = config::Clients { max_uploads: args.clients as usize, ..config::Clients::default() };
    let tunables = Tunables { max_renders: Some(2 * args.clients), ..Tunables::default() };
    let found = Options::new(folder.path(), &|line| eprintln!("{line}"))?;
    let (store, provider_router) = (Some(store::router()), Some(provider.router()));
    let options = Options { clients, tunables, provider: provider_router, store, ..found };
    let mut world = World::start(options).await?;
    let server = world.nats().id();
    let measured = tokio::select! {
        measured = measure(&world, args, &provider, server) => measured,
        () = stop.cancelled() => Err(anyhow::anyhow!("interrupted")),
    };
    world.stop().await;
    measured
}

async fn measure(world: &World, args: &Args, provider: &Provider, server: u32) -> anyhow::Result<()> {
    let bus = world.bus().await?;
    let load = Load::start(&world.addresses.api, &bus).await?;
    let claims = if args.no_claims { "without claims" } else { "with claims" };
    let cores = std::thread::available_parallelism()?;
    say("bench", &format!("{} jobs, {} at once, {claims}, {cores} cores", args.jobs, args.clients))?;
    let bare = Bare::start(world.bus().await?, world.bus().await?).await?;
    say("one synced write", &format!("{:.2} ms, with nothing beside it", bare.alone().await?.as_secs_f64() * 1000.0))?;
    live(args, &bus, &load, bare, server).await?;
    drain(args, &bus, &load, provider).await?;
    idle(args, &load, provider).await?;
    say("nats-server", &format!("{} MiB resident at the end", usage::of(server)?.resident_mib))?;
    check(&bus, provider, args.jobs + u64::from(args.clients) + args.drain + args.idle).await
}

fn say(what: &str, figure: &str) -> Result<(), Closed> {
    print(&format!("{what:<22} {figure}"))
}

/// Whole lives, and the same writes alone.
async fn live(args: &Args, bus: &Bus, load: &Load, mut bare: Bare, server: u32) -> anyhow::Result<()> {
    // What is done once, connections above all, is not timed.
    load.live(args.clients.into(), args.clients).await?;
    let (mut life, mut own, mut theirs) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    for round in 0..ROUNDS {
        let jobs = args.jobs * (round + 1) / ROUNDS - args.jobs * round / ROUNDS;
        let (written, before) = (bench::written(bus).await?, Usage::of_both(server)?);
        life += load.live(jobs, args.clients).await?;
        let after = Usage::of_both(server)?;
        own += after.0.saturating_sub(before.0);
        theirs += after.1.saturating_sub(before.1);
        bare.run(bus, jobs, args.clients, &written).await?;
    }
    say("writes per job", &bare.writes())?;
    say("bare loop", &format!("{:.0} jobs/s, the same synced writes and nothing else", bare.rate()))?;
    let (rate, goal) = (per_second(args.jobs, life), if args.no_claims { 0.75 } else { 0.6 });
    say("whole life", &format!("{rate:.0} jobs/s, {:.2} of bare (goal: {goal} or more)", rate / bare.rate()))?;
    let each = |cpu: Duration| cpu.as_secs_f64() * 1000.0 / as_f64(args.jobs);
    let (own, theirs) = (each(own), each(theirs));
    say(
        "processor per job",
        &format!("{own:.2} ms kiln, its store, provider and clients; {theirs:.2} ms nats-server"),
    )?;
    Ok(())
}

/// Jobs that were all queued before the first is taken; timed from the first one's dispatch, since the server takes a
/// moment to give out what it held.
async fn drain(args: &Args, bus: &Bus, load: &Load, provider: &Provider) -> anyhow::Result<()> {
    bench::hold_queue(bus, true).await?;
    let jobs = load.queue(args.drain, args.clients).await?;
    bench::hold_queue(bus, false).await?;
    for job in &jobs {
        load.ended(*job).await?;
    }
    let ended = Instant::now();
    let began = jobs.iter().filter_map(|job| provider.asked_at(*job)).min().unwrap_or(ended);
    let rate = per_second(args.drain, ended.duration_since(began));
    say("drain", &format!("{rate:.0} jobs/s, {} that were queued before", args.drain))?;
    Ok(())
}

/// From a client's request to the provider's being asked, with nothing else going on.
async fn idle(args: &Args, load: &Load, provider: &Provider) -> anyhow::Result<()> {
    let mut took = Vec::new();
    for _ in 0..args.idle {
        let began = Instant::now();
        let job = load.submit().await?;
        load.ended(job).await?;
        let asked = provider.asked_at(job).ok_or_else(|| anyhow::anyhow!("job {job} was never dispatched"))?;
        took.push(asked.duration_since(began).as_secs_f64() * 1000.0);
    }
    took.sort_by(f64::total_cmp);
    let [half, most] = [took[took.len() / 2], took[took.len() * 99 / 100]];
    say("idle, submit to call", &format!("p50 {half:.1} ms (goal: 2 or less), p99 {most:.1} ms (goal: 4 or less)"))?;
    Ok(())
}

/// Whether every job ended well and was rendered once; a figure would be worth nothing otherwise.
async fn check(bus: &Bus, provider: &Provider, jobs: u64) -> anyhow::Result<()> {
    let (requested, completed) =
        (bench::jobs_with(bus, Kind::Requested).await?, bench::jobs_with(bus, Kind::Completed).await?);
    let renders = provider.renders();
    let is_right = [requested, completed, renders].into_iter().all(|count| count as u64 == jobs);
    ensure!(is_right, "of {jobs} jobs, {requested} were requested, {completed} completed, by {renders} renders");
    say("completed once", &format!("{jobs} of {jobs} jobs, by as many renders"))?;
    Ok(())
}

fn per_second(count: u64, took: Duration) -> f64 {
    as_f64(count) / took.as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn as_f64(count: u64) -> f64 {
    count as f64
}
