//! `kiln fence`: what a person sees and says of it.

use std::io::{IsTerminal, Write as _};

use anyhow::{Context as _, bail};
use clap::Subcommand;
use nats::Log;

use super::{Fence, Fences, Verdict};
use crate::bucket::Bucket;
use crate::{clock, config, roles};

/// Settings of `kiln fence`.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Clone, Debug)]
enum Action {
    /// Show how far the log was written, how far it goes now, and what follows from that
    Show(Access),
    /// Take the present log as true, after a wanted restore: every role writes again
    Accept {
        /// Do not ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        access: Access,
    },
}

#[derive(clap::Args, Clone, Debug)]
struct Access {
    #[command(flatten)]
    nats: config::Nats,
    #[command(flatten)]
    bucket: config::Bucket,
}

/// The log and the fence, side by side.
struct Situation {
    fences: Fences,
    fence: Option<Fence>,
    head: Option<nats::Head>,
    verdict: Verdict,
}

/// Runs the command; the text is for people.
pub async fn run(args: &Args) -> anyhow::Result<String> {
    match &args.action {
        Action::Show(access) => Ok(Situation::of(access).await?.describe()),
        Action::Accept { yes, access } => accept(&Situation::of(access).await?, *yes).await,
    }
}

async fn accept(situation: &Situation, is_sure: bool) -> anyhow::Result<String> {
    if situation.verdict.is_fine() {
        return Ok(format!("{}\n\nthere is nothing to accept", situation.describe()));
    }
    let head = situation.head.as_ref().context("there is no log to accept; run `kiln provision` first")?;
    if !is_sure && !confirmed(&situation.describe())? {
        bail!("nothing was changed; to take the log as it is, add `--yes`");
    }
    let accepted = situation.fence.as_ref().map_or(0, |fence| fence.accepted) + 1;
    let fence = Fence::of(head, accepted, clock::now());
    if situation.fences.advance(&fence).await? != fence {
        bail!("somebody else has changed the fence meanwhile; look at it again with `kiln fence show`");
    }
    Ok(format!("{}\n\naccepted: the log counts as it is now, and every role writes again", situation.describe()))
}

/// Asks on the terminal; without one the answer is no.
#[expect(clippy::print_stderr, reason = "a question to the person at the terminal")]
fn confirmed(situation: &str) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    eprint!("{situation}\n\nwhat is missing from the log is lost; type `accept` to take it as it is: ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(answer.trim() == "accept")
}

impl Situation {
    async fn of(access: &Access) -> anyhow::Result<Self> {
        let fences = Fences::new(Bucket::new(&access.bucket)?);
        let log = Log::new(roles::connect(&access.nats, "operator").await?);
        let (fence, head) = (fences.read().await?, log.head().await?);
        let verdict = super::compare(&log, fence.as_ref(), head.as_ref()).await?;
        Ok(Self { fences, fence, head, verdict })
    }

    fn describe(&self) -> String {
        let line = |name: &str, created: &str, last_seq: u64, time: Option<events::Timestamp>| {
            let time = time.map_or(String::new(), |time| format!(" of {time}"));
            format!("{name:<8} made at {created}, up to message {last_seq}{time}")
        };
        let fence = self
            .fence
            .as_ref()
            .map_or("fence    none".to_owned(), |fence| line("fence", &fence.created, fence.last_seq, fence.last_time));
        let head = self
            .head
            .as_ref()
            .map_or("log      none".to_owned(), |head| line("log", &head.created, head.last_seq, head.last_time));
        format!("{fence}\n{head}\nverdict  {}", self.verdict)
    }
}
