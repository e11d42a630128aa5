//! `kiln rebuild`: the bucket made again from the log, in place, or compared with it.

use std::process::ExitCode;
use std::time::Instant;

use clap::Args as ClapArgs;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{config, roles};

/// Settings of `kiln rebuild`.
#[derive(ClapArgs, Clone, Debug)]
pub struct Args {
    /// Change nothing: compare each job's entry with the log, print what differs, and end with 1 if anything does
    #[arg(long)]
    verify: bool,
    #[command(flatten)]
    nats: config::Nats,
}

/// `kiln rebuild`. It may run beside projectors, be stopped anywhere, and run again.
pub async fn run(args: &Args) -> anyhow::Result<(String, ExitCode)> {
    let bus = roles::connect(&args.nats, "operator").await?;
    if args.verify { verify(&bus).await } else { rebuild(&bus).await }
}

async fn rebuild(bus: &nats::Bus) -> anyhow::Result<(String, ExitCode)> {
    let (bar, started) = (bar("messages"), Instant::now());
    let rebuilt = nats::rebuild(bus, &|read, all| show(&bar, read, all)).await?;
    bar.finish_and_clear();
    let (nats::Rebuilt { messages, written }, took) = (rebuilt, started.elapsed());
    Ok((format!("{messages} messages read, {written} entries written, in {took:.1?}"), ExitCode::SUCCESS))
}

async fn verify(bus: &nats::Bus) -> anyhow::Result<(String, ExitCode)> {
    let bar = bar("jobs");
    let verified = nats::verify(bus, &|compared, all| show(&bar, compared, all)).await?;
    bar.finish_and_clear();
    let nats::Verified { jobs, differences } = verified;
    if differences.is_empty() {
        return Ok((format!("{jobs} jobs compared: every entry is the fold of the log"), ExitCode::SUCCESS));
    }
    let mut lines: Vec<_> = differences.iter().map(ToString::to_string).collect();
    lines.push(format!("{} of {jobs} jobs differ; `kiln rebuild` mends them", differences.len()));
    Ok((lines.join("\n"), ExitCode::FAILURE))
}

/// Seen on a terminal alone.
fn bar(unit: &str) -> ProgressBar {
    let template = format!("{{bar:40}} {{human_pos}} of {{human_len}} {unit}  {{per_sec}}  {{eta}}");
    let style = ProgressStyle::with_template(&template).expect("the template is right").progress_chars("━╸ ");
    ProgressBar::new(0).with_style(style)
}

fn show(bar: &ProgressBar, done: u64, all: u64) {
    bar.set_length(all);
    bar.set_position(done);
}
