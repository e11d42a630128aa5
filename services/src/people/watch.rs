//! `kiln watch`: jobs, until they have ended.

use tokio_util::sync::CancellationToken;

use super::board::{Board, ending};
use super::error::Error;
use super::job::{Job, short};
use super::{Common, EXIT_CODES, words};

/// Settings of `kiln watch`.
#[derive(clap::Args, Debug)]
#[command(after_help = format!("\
Examples:
  kiln watch 0193a5c0-7c1e-7b3a-9d52-1f0c8a7be001
  kiln watch JOB && kiln download JOB        the exit code tells whether there is a video
  kiln watch --json JOB | jq .progress       each state is a line

The server may come and go meanwhile: the command goes on where it was.

{EXIT_CODES}"))]
pub(crate) struct Args {
    /// The jobs
    #[arg(required = true, value_name = "JOB")]
    jobs: Vec<Job>,
    #[command(flatten)]
    common: Common,
}

/// Follows all of them at once.
pub(super) async fn run(args: &Args, stop: &CancellationToken) -> Result<(), Error> {
    let board = Board::new(args.common.client()?, args.common.out());
    let mut wanted = Vec::with_capacity(args.jobs.len());
    for job in &args.jobs {
        let poll = board.client.poll(job.find(&board.client).await?).await?;
        wanted.push((poll.job_id, words::name(&poll).unwrap_or_else(|| short(poll.job_id))));
    }
    let one = async |(job, name): &(_, String)| {
        let bar = board.bar(name, wanted.iter().map(|(_, name)| name.as_str()));
        let last = board.to_end(*job, name, &bar).await?;
        match ending(name, &last) {
            Ok(ended) => board.say(&ended),
            Err(error) => {
                board.fail(name, &error);
                Err(Error::Told(error.code()))
            }
        }
    };
    board.each(&wanted, stop, one).await
}
