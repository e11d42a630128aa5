//! The commands for people: submit, look, wait, fetch. They speak the same HTTP as everyone else.
//!
//! What was asked for goes to standard output, everything else to standard error; with `--json` standard output holds
//! JSON and nothing else.

mod board;
mod cancel;
mod completions;
mod deadletters;
mod download;
mod error;
mod events;
mod explain;
mod job;
mod list;
mod look;
mod out;
mod rate;
mod retry;
mod status;
mod submit;
mod table;
mod target;
mod watch;
mod words;

use std::process::ExitCode;

use clap::Subcommand;
use tokio_util::sync::CancellationToken;

use crate::client::kiln::Client;
use error::Error;
use out::Out;

pub(crate) use error::EXIT_CODES;
#[cfg(feature = "dev")]
pub(crate) use {board::to_end, look::Look, words::doing};

/// The commands.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Send audio, and get a video
    Submit(submit::Args),
    /// Say how jobs stand
    Status(status::Args),
    /// Follow jobs to their end
    Watch(watch::Args),
    /// Show all jobs, the newest first
    List(list::Args),
    /// Show what happened to a job, in order
    Events(events::Args),
    /// Tell a job's story: what happened and why, who waits for whom, what comes next
    Explain(explain::Args),
    /// Stop jobs that nobody wants any more
    Cancel(cancel::Args),
    /// Ask for the same render again, as a new job
    Retry(retry::Args),
    /// Fetch videos; a download that broke off goes on
    Download(download::Args),
    /// Look at messages that nobody could read, and have them read again
    Deadletters(deadletters::Args),
    /// Print a script that completes these commands in a shell
    Completions(completions::Args),
}

/// Which kiln, and in which form it is told.
#[derive(clap::Args, Debug)]
pub(crate) struct Common {
    /// Address of the api; without it `.env` is asked, and then a running `kiln dev`
    #[arg(long, env = "KILN_URL", hide_env_values = true, help_heading = "Everywhere")]
    url: Option<String>,
    /// Print JSON, and nothing else
    #[arg(long, help_heading = "Everywhere")]
    json: bool,
}

impl Common {
    fn out(&self) -> Out {
        Out::new(self.json)
    }

    fn client(&self) -> Result<Client, Error> {
        Ok(target::find(self.url.as_deref())?.client())
    }
}

/// Does it; an error is one sentence on standard error.
pub(crate) async fn run(command: Command, program: clap::Command, stop: CancellationToken) -> ExitCode {
    let done = tokio::select! {
        biased;
        done = Box::pin(dispatch(command, program, &stop)) => done,
        () = interrupted(&stop) => Err(Error::Interrupted("interrupted".into())),
    };
    error::exit(done)
}

/// A moment later, in which those that wait can say more about it.
async fn interrupted(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::task::yield_now().await;
}

async fn dispatch(command: Command, program: clap::Command, stop: &CancellationToken) -> Result<(), Error> {
    match command {
        Command::Submit(args) => submit::run(&args, stop).await,
        Command::Status(args) => status::run(&args).await,
        Command::Watch(args) => watch::run(&args, stop).await,
        Command::List(args) => list::run(&args).await,
        Command::Events(args) => events::run(&args).await,
        Command::Explain(args) => explain::run(&args).await,
        Command::Cancel(args) => cancel::run(&args).await,
        Command::Retry(args) => retry::run(&args, stop).await,
        Command::Download(args) => download::run(&args).await,
        Command::Deadletters(args) => deadletters::run(&args).await,
        Command::Completions(args) => completions::run(&args, program),
    }
}
