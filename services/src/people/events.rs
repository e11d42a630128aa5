//! `kiln events`: what happened to a job, in order.

use std::time::Duration;

use ::events::wire::client::HistoryEvent;
use console::Style;

use super::error::Error;
use super::explain::payload;
use super::job::Job;
use super::table::{Cell, Column, lines};
use super::{Common, words};

/// Settings of `kiln events`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  kiln events 0193a5c0-7c1e-7b3a-9d52-1f0c8a7be001
  kiln events --json JOB | jq '.events[] | {time, event, data}'

Each line is one fact in the log, with the time since the first one. `kiln explain` tells the same as a story.")]
pub(crate) struct Args {
    /// The job
    #[arg(value_name = "JOB")]
    job: Job,
    #[command(flatten)]
    common: Common,
}

/// Prints the timeline.
pub(super) async fn run(args: &Args) -> Result<(), Error> {
    let (client, out) = (args.common.client()?, args.common.out());
    let job = args.job.find(&client).await?;
    let history = client.history(job).await?;
    out.json(&history)?;
    for line in timeline(&history.events, out.width) {
        out.say(&line)?;
    }
    Ok(())
}

/// The facts as lines of this width.
pub(crate) fn timeline(events: &[HistoryEvent], width: Option<usize>) -> Vec<String> {
    let column = |title, is_flexible, leaves| Column { title, is_flexible, leaves };
    let columns =
        [column("time", false, 1), column("after", false, 0), column("event", false, 0), column("what", true, 0)];
    let first = events.first().map(|event| event.time).unwrap_or_default();
    let row = |event: &HistoryEvent| {
        let attempt = event.attempt.map_or_else(String::new, |attempt| format!(".{attempt}"));
        let after = event.time.since(first);
        vec![
            Cell { style: Style::new().dim(), ..Cell::new(event.time.to_string()) },
            Cell::new(if after < Duration::from_millis(1) { String::new() } else { words::duration(after) }),
            Cell { style: style(&event.event), ..Cell::new(::events::clean(&format!("{}{attempt}", event.event), 64)) },
            Cell::new(payload::in_words(event)),
        ]
    };
    let rows: Vec<_> = events.iter().map(row).collect();
    lines(&columns, &rows, width)
}

fn style(event: &str) -> Style {
    match event {
        "completed" => Style::new().green(),
        "failed" | "attempt_failed" => Style::new().red(),
        _ => Style::new(),
    }
}
