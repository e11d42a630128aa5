//! `kiln cancel`: nobody wants them any more.

use super::board::Worst;
use super::error::Error;
use super::job::Job;
use super::{Common, words};

/// Settings of `kiln cancel`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  kiln cancel 0193a5c0-7c1e-7b3a-9d52-1f0c8a7be001
  kiln list --all --status pending --json | jq -r '.jobs[].jobId' | xargs -r kiln cancel

A render that runs is stopped. A job that has ended is refused: exit code 4.")]
pub(crate) struct Args {
    /// The jobs
    #[arg(required = true, value_name = "JOB")]
    jobs: Vec<Job>,
    #[command(flatten)]
    common: Common,
}

/// Cancels each.
pub(super) async fn run(args: &Args) -> Result<(), Error> {
    let (client, out) = (args.common.client()?, args.common.out());
    let mut worst = Worst::none();
    for job in &args.jobs {
        let one = async {
            let poll = client.cancel(job.find(&client).await?).await?;
            out.json(&poll)?;
            let name = words::name(&poll).map_or_else(String::new, |name| format!(" ({name})"));
            Ok(out.say(&format!("{}{name} is cancelled", poll.job_id))?)
        };
        worst.add(one.await)?;
    }
    worst.result()
}
