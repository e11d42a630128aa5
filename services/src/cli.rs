//! The command line: one binary, and what it can be told to do.

mod help;
mod keys;
mod ready;
mod signals;
mod telemetry;
mod variables;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use events::Policy;
use nats::tool;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::roles;
use crate::{doctor, fence, guard, people, probe, rebuild, render, stdout, sweeper};

/// What is told in the log by those that do kiln's work.
const WHAT_HAPPENS: &str = "info,async_nats=warn";

/// Durable GPU render jobs: audio in, video out.
#[derive(Parser, Debug)]
#[command(
    name = "kiln",
    version,
    after_help = "Start with `kiln demo`, or `kiln dev` and then another terminal. `kiln COMMAND --help` tells all of a command."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    #[command(flatten)]
    People(people::Command),
    /// Render AUDIO once in a private world, and write demo.mp4
    #[cfg(feature = "dev")]
    Demo(crate::dev::demo::Args),
    /// A whole world on this machine, staying up: NATS, an S3 server, a GPU stand-in and every role
    #[cfg(feature = "dev")]
    Dev(crate::dev::Args),
    /// Measure a whole world on this machine, with a GPU provider that renders nothing and ends at once
    #[cfg(feature = "dev")]
    Bench(crate::dev::bench::Args),
    #[command(flatten)]
    Role(Role),
    /// Make or update streams, consumers and the bucket; nothing is ever deleted
    Provision(roles::ProvisionArgs),
    /// Make the entries of the KV bucket again from the log, in place, or prove them equal
    Rebuild(rebuild::Args),
    /// Check everything that kiln stands on, one line each, with what to do where something is wrong
    Doctor(doctor::Args),
    /// How far the log was written before, and whether the present one is behind that
    Fence(fence::Args),
    /// Remove from the store what nobody will ask for again; the worker does it once an hour
    Sweep(sweeper::Args),
    /// Ask a role on this machine whether it is ready; the exit code tells
    Ready(ready::Args),
    /// Make, show and revoke API keys
    Keys(keys::Args),
    /// The program in the GPU container: claim, download, render, upload, report
    Render(render::Args),
    /// Say what a media file holds
    Probe {
        /// The file
        file: PathBuf,
    },
    /// Run a program that ends when the pipe on standard input closes
    #[command(hide = true)]
    Guard(guard::Args),
}

/// What runs until it is told to stop.
#[derive(Subcommand, Debug)]
enum Role {
    /// The role that clients speak to: submit, poll, cancel
    Api(roles::ApiArgs),
    /// The role that dispatches renders and watches them to their end
    Worker(roles::WorkerArgs),
    /// The role that containers report to
    Webhook(roles::WebhookArgs),
    /// The role that keeps every job's status in the KV bucket
    Projector(roles::ProjectorArgs),
    /// All four roles in one process
    Serve(roles::ServeArgs),
}

/// Runs what the arguments say; an error is one sentence on standard error.
pub fn main() -> ExitCode {
    let program = help::grouped(variables::without_empty(Cli::command()));
    let cli = Cli::from_arg_matches(&program.get_matches()).unwrap_or_else(|error| error.exit());
    crate::http::allow_many_connections();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&anyhow::Error::new(error).context("no threads could be started")),
    };
    let code = runtime.block_on(run(cli.command)).unwrap_or_else(|error| failed(&error));
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    code
}

#[expect(clippy::print_stderr, reason = "this is the program's last word")]
fn failed(error: &anyhow::Error) -> ExitCode {
    if error.is::<stdout::Closed>() {
        return ExitCode::SUCCESS;
    }
    eprintln!("kiln: {}", crate::chain(error.as_ref()));
    ExitCode::FAILURE
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    if let Command::Guard(args) = &command {
        return Ok(guard::run(args).await?);
    }
    let stop = signals::stop()?;
    match command {
        Command::People(command) => return Ok(people::run(command, Cli::command(), stop).await),
        #[cfg(feature = "dev")]
        Command::Demo(args) => return crate::dev::demo::run(&args, stop).await,
        #[cfg(feature = "dev")]
        Command::Dev(args) => {
            telemetry::start("warn,kiln=info,nats=info");
            crate::dev::run(&args, stop).await?;
        }
        #[cfg(feature = "dev")]
        Command::Bench(args) => {
            telemetry::start("error");
            crate::dev::bench::run(&args, stop).await?;
        }
        Command::Render(args) => {
            telemetry::start(WHAT_HAPPENS);
            return Ok(render::main(&args, &stop).await);
        }
        Command::Probe { file } => print(&probe::probe(&ffmpeg()?, &file).await?.to_string()),
        Command::Rebuild(args) => {
            telemetry::start("warn");
            let (report, code) = rebuild::run(&args).await?;
            print(&report);
            return Ok(code);
        }
        Command::Keys(args) => print(&keys::run(args)?),
        Command::Ready(args) => ready::run(&args).await?,
        Command::Guard(_) => {}
        Command::Doctor(args) => {
            telemetry::start("error");
            let (text, is_well) = doctor::report(&Box::pin(doctor::examine(&args)).await, args.json);
            print(&text);
            return Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Fence(args) => {
            telemetry::start(WHAT_HAPPENS);
            print(&fence::run(&args).await?);
        }
        Command::Sweep(args) => {
            telemetry::start(WHAT_HAPPENS);
            print(&sweeper::run(&args).await?);
        }
        Command::Provision(args) => {
            telemetry::start(WHAT_HAPPENS);
            print(&roles::provision(&args).await?);
        }
        Command::Role(role) => {
            telemetry::start(WHAT_HAPPENS);
            Box::pin(run_role(role, stop)).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn run_role(role: Role, stop: CancellationToken) -> anyhow::Result<()> {
    match role {
        Role::Api(args) => roles::api(&args, stop).await,
        Role::Worker(args) => roles::worker(&args, Policy::default(), Metrics::new(), stop).await,
        Role::Webhook(args) => roles::webhook(&args, stop).await,
        Role::Projector(args) => roles::projector(&args, Metrics::new(), stop).await,
        Role::Serve(args) => roles::serve_all(&args, Policy::default(), None, stop).await,
    }
}

/// The ffmpeg to use: found, or fetched once, with a word about it on standard error.
#[expect(clippy::print_stderr, reason = "a fetch takes a while, and people should know")]
fn ffmpeg() -> anyhow::Result<PathBuf> {
    Ok(tool::FFMPEG.find(&|line| eprintln!("{line}"))?)
}

/// What was asked for. Nothing is wrong if its reader has seen enough.
fn print(text: &str) {
    let _ = stdout::print(text.trim_end());
}
