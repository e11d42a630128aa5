//! `kiln explain`: a job's story.

mod around;
mod now;
mod past;
pub(super) mod payload;
mod story;
#[cfg(test)]
mod tests;

use super::Common;
use super::error::Error;
use super::job::Job;
use crate::clock;
use story::Story;

/// Settings of `kiln explain`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  kiln explain 0193a5c0-7c1e-7b3a-9d52-1f0c8a7be001
  kiln explain --json JOB | jq -r .now")]
pub(crate) struct Args {
    /// The job
    #[arg(value_name = "JOB")]
    job: Job,
    #[command(flatten)]
    common: Common,
}

/// Tells it.
pub(super) async fn run(args: &Args) -> Result<(), Error> {
    let (client, out) = (args.common.client()?, args.common.out());
    let job = args.job.find(&client).await?;
    let (poll, history) = tokio::try_join!(client.poll(job), client.history(job))?;
    // What may be wrong around it is worth a sentence; that nobody can tell is not.
    let health = client.health().await.ok().filter(|_| !poll.status.is_final());
    let story = Story::of(&poll, &history.events, health.as_ref(), clock::now());
    out.json(&story)?;
    Ok(out.say(&story.text(out.width))?)
}
