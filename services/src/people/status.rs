//! `kiln status`: how jobs stand, right now.

use ::events::Status;
use ::events::wire::client::Poll;
use console::Style;

use super::board::Worst;
use super::error::Error;
use super::job::Job;
use super::{Common, words};
use crate::clock;

/// Settings of `kiln status`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  kiln status 0193a5c0-7c1e-7b3a-9d52-1f0c8a7be001
  kiln status 1f0c8a7be001                   the end of an id will do
  kiln status --json JOB | jq .progress

However the job stands, the exit code is 0; `kiln watch` tells the end by its exit code.")]
pub(crate) struct Args {
    /// The jobs
    #[arg(required = true, value_name = "JOB")]
    jobs: Vec<Job>,
    #[command(flatten)]
    common: Common,
}

/// Asks once for each.
pub(super) async fn run(args: &Args) -> Result<(), Error> {
    let (client, out) = (args.common.client()?, args.common.out());
    let mut worst = Worst::none();
    for (n, job) in args.jobs.iter().enumerate() {
        let one = async {
            let poll = client.poll(job.find(&client).await?).await?;
            out.json(&poll)?;
            let gap = if n > 0 { "\n" } else { "" };
            Ok(out.say(&format!("{gap}{}", told(&poll)))?)
        };
        worst.add(one.await)?;
    }
    worst.result()
}

/// What is known of a job, a line each.
pub(super) fn told(poll: &Poll) -> String {
    let now = clock::now();
    let percent = match poll.status {
        Status::Processing => format!(", {} %", poll.progress),
        _ => String::new(),
    };
    let status = style(poll.status).apply_to(poll.status);
    let doing = words::doing(poll);
    let doing = if doing == poll.status.name() { String::new() } else { format!(": {doing}") };
    let file = words::name(poll).map(|name| ("file", name));
    let created = poll.created_at.map(|created| ("asked for", format!("{} ({created})", words::ago(created, now))));
    let failure = poll.error.as_ref().map(|failure| ("code", failure.code.to_string()));
    let next = words::next_look(poll, now).map(|next| ("next look", next));
    let rows = [("job", poll.job_id.to_string()), ("status", format!("{status}{percent}{doing}"))];
    let rows = rows.into_iter().chain(next).chain(file).chain(failure).chain(created);
    let rows = rows.chain([("last news", words::ago(poll.updated_at, now))]);
    let lines: Vec<_> = rows.map(|(title, text)| format!("{}{text}", dim(&format!("{title:<11}")))).collect();
    lines.join("\n")
}

/// The colour of a status.
pub(super) fn style(status: Status) -> Style {
    match status {
        Status::Pending => Style::new().yellow(),
        Status::Processing => Style::new().cyan(),
        Status::Complete => Style::new().green(),
        Status::Failed => Style::new().red(),
        Status::Cancelled => Style::new().dim(),
    }
}

fn dim(text: &str) -> String {
    Style::new().dim().apply_to(text).to_string()
}
