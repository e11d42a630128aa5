//! `kiln retry`: the same once more.

use tokio_util::sync::CancellationToken;

use super::board::{Board, ending, patiently};
use super::error::Error;
use super::job::{Job, short};
use super::{Common, words};
use crate::clock;

/// Settings of `kiln retry`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  kiln retry 0193a5c0-7c1e-7b3a-9d52-1f0c8a7be001
  kiln retry JOB --watch

Makes a new job with the request and the audio of one that has ended, and prints its id.")]
pub(crate) struct Args {
    /// The job
    #[arg(value_name = "JOB")]
    job: Job,
    /// Sent again under the same key, this is the same new job
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Say what would be done, and do nothing
    #[arg(long, conflicts_with = "watch")]
    dry_run: bool,
    /// Wait for the end
    #[arg(long, short)]
    watch: bool,
    #[command(flatten)]
    common: Common,
}

/// Asks for it again.
pub(super) async fn run(args: &Args, stop: &CancellationToken) -> Result<(), Error> {
    let board = Board::new(args.common.client()?, args.common.out());
    let job = args.job.find(&board.client).await?;
    let key = args.idempotency_key.clone().unwrap_or_else(clock::random_hex);
    if args.dry_run {
        let tried = board.client.try_retry(job).await?;
        board.out.json(&tried)?;
        return board.say(&format!("it would be rendered as {}; nothing was done", words::spec(&tried.spec)));
    }
    let say = |error: &str| board.note(error);
    let accepted = patiently(say, async || board.client.retry(job, &key).await).await?;
    board.out.json(&accepted)?;
    board.say(&accepted.job_id.to_string())?;
    if !args.watch {
        return Ok(());
    }
    let name = short(accepted.job_id);
    let bar = board.bar(&name, [name.as_str()].into_iter());
    let last = board.unless(stop, board.to_end(accepted.job_id, &name, &bar)).await?;
    board.say(&ending(&name, &last)?)
}
