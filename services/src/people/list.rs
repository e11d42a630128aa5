//! `kiln list`: all jobs, the newest first.

use ::events::wire::client::{Counts, JobList, Poll};
use ::events::{Status, Timestamp};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use console::Style;

use super::error::Error;
use super::job::short;
use super::status::style;
use super::table::{Cell, Column, lines};
use super::{Common, words};
use crate::client::kiln::Client;
use crate::clock;

/// What a page of the api holds at most.
const PAGE: usize = 100;

/// Settings of `kiln list`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  kiln list
  kiln list --status failed --limit 50
  kiln list --all --json | jq -r '.jobs[] | select(.status == \"complete\") | .jobId'

The table fits the terminal: in a narrow one the end of an id stands for all of it, and will do for the other commands.")]
pub(crate) struct Args {
    /// Only jobs of this status
    #[arg(long, value_parser = PossibleValuesParser::new(Status::ALL.map(Status::name)).try_map(status))]
    status: Option<Status>,
    /// How many jobs
    #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// All of them
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    #[command(flatten)]
    common: Common,
}

fn status(text: String) -> Result<Status, String> {
    Status::ALL.into_iter().find(|status| status.name() == text).ok_or(text)
}

/// Asks for as many pages as need be.
pub(super) async fn run(args: &Args) -> Result<(), Error> {
    let (client, out) = (args.common.client()?, args.common.out());
    let limit = if args.all { usize::MAX } else { args.limit as usize };
    let list = read(&client, args.status, limit).await?;
    out.json(&list)?;
    let now = clock::now();
    if list.jobs.is_empty() {
        return Ok(out.say(&empty(args.status))?);
    }
    for line in table(&list.jobs, now, out.width) {
        out.say(&line)?;
    }
    if out.is_for_people() {
        let more = if list.next_cursor.is_some() { "; there are more: --all, or --limit" } else { "" };
        out.say(&Style::new().dim().apply_to(format!("\n{}{more}", counted(&list.counts))).to_string())?;
    }
    Ok(())
}

async fn read(client: &Client, status: Option<Status>, limit: usize) -> Result<JobList, Error> {
    let mut list = client.list(status, limit.min(PAGE), None).await?;
    while let Some(cursor) = list.next_cursor.take_if(|_| list.jobs.len() < limit) {
        let page = client.list(status, (limit - list.jobs.len()).min(PAGE), Some(&cursor)).await?;
        list.jobs.extend(page.jobs);
        (list.next_cursor, list.counts) = (page.next_cursor, page.counts);
    }
    Ok(list)
}

fn empty(status: Option<Status>) -> String {
    match status {
        None => "there are no jobs yet: `kiln submit song.flac` makes one".into(),
        Some(status) => format!("no job is `{status}`"),
    }
}

fn counted(counts: &Counts) -> String {
    let Counts { pending, processing, complete, failed, cancelled } = *counts;
    let counts = [pending, processing, complete, failed, cancelled];
    let counts = Status::ALL.into_iter().zip(counts).filter(|(_, count)| *count > 0);
    words::row(&counts.map(|(status, count)| format!("{count} {status}")).collect::<Vec<_>>())
}

/// The jobs as lines of this width.
fn table(jobs: &[Poll], now: Timestamp, width: Option<usize>) -> Vec<String> {
    let column = |title, is_flexible, leaves| Column { title, is_flexible, leaves };
    let columns = [
        column("job", false, 0),
        column("status", false, 0),
        column("%", false, 3),
        column("what", true, 0),
        column("asked for", false, 1),
        column("file", true, 2),
    ];
    let rows: Vec<_> = jobs.iter().map(|job| row(job, now)).collect();
    lines(&columns, &rows, width)
}

fn row(job: &Poll, now: Timestamp) -> Vec<Cell> {
    let doing = words::doing(job);
    vec![
        Cell { short: Some(short(job.job_id)), ..Cell::new(job.job_id.to_string()) },
        Cell { style: style(job.status), ..Cell::new(job.status.name()) },
        Cell::new(format!("{:>3}", job.progress)),
        Cell::new(if doing == job.status.name() { String::new() } else { doing }),
        Cell::new(job.created_at.map(|created| words::ago(created, now)).unwrap_or_default()),
        Cell::new(words::name(job).unwrap_or_default()),
    ]
}
