//! What the api and the webhook cost: `cargo bench -p kiln --bench main -- --help`.
//!
//! Servers, clients, store and nats-server share this machine, so that only ratios say something: what is compared is
//! measured in turns, in one run.

#![expect(clippy::print_stdout, clippy::cast_precision_loss, reason = "figures for people")]

mod callbacks;
mod poll;
mod stack;
mod submit;
mod uploads;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Args {
    /// As `cargo bench` passes it
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    which: Which,
}

#[derive(Subcommand)]
enum Which {
    /// Polls, lists and open streams, beside a handler that answers as many bytes and does nothing for them
    Poll {
        /// Among how many jobs; a million is written in some ten seconds, and takes 1 GiB of memory where that is a folder
        #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(100..=2_000_000))]
        jobs: u64,
    },
    /// How soon a poll shows what a callback said, and completions beside the bare append and put
    Callbacks {
        /// How many are completed
        #[arg(long, default_value_t = 4000, value_parser = clap::value_parser!(u64).range(100..=100_000))]
        jobs: u64,
    },
    /// Submits without an upload at a fixed rate, whether or not the ones before are answered
    Submit {
        /// How many begin each second
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=5000))]
        rate: u32,
        /// For how long
        #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=300))]
        seconds: u32,
        /// Below which folder the store lies; in memory, where the system has such a place
        #[arg(long)]
        store: Option<PathBuf>,
    },
    /// A long upload beside the same PUT straight to the store, and the memory of it and of many at once
    Uploads {
        /// Length of the long one
        #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u64).range(16..=2000))]
        mib: u64,
        /// How often it is sent each way
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
        rounds: u32,
        /// How many go up at once afterwards
        #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=32))]
        parallel: u32,
        /// Length of each of those
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=2000))]
        each_mib: u64,
    },
    /// The store alone, for the others, so that its memory is not theirs
    #[command(hide = true)]
    Store {
        /// Where everything lies
        folder: PathBuf,
    },
}

/// Threads for the store's files. Reads go to them in turn, and of several hundred each has slept so long that waking it
/// can take 10 ms.
const STORE_THREADS: usize = 8;

fn main() {
    let which = Args::parse().which;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if matches!(which, Which::Store { .. }) {
        runtime.max_blocking_threads(STORE_THREADS);
    }
    runtime.enable_all().build().expect("a runtime").block_on(run(which));
}

async fn run(which: Which) {
    match which {
        Which::Poll { jobs } => poll::run(jobs).await,
        Which::Callbacks { jobs } => callbacks::run(usize::try_from(jobs).expect("it is bounded")).await,
        Which::Submit { rate, seconds, store } => submit::run(rate, seconds, store).await,
        Which::Uploads { mib, rounds, parallel, each_mib } => {
            uploads::run(mib << 20, rounds, parallel, each_mib << 20).await;
        }
        Which::Store { folder } => stack::store(folder).await,
    }
}
