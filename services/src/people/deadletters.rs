//! `kiln deadletters`: messages that nobody could read.

use std::fmt::Write as _;

use ::events::wire::operator::{DeadLetter, WholeDeadLetter};
use ::events::{Timestamp, clean};
use clap::Subcommand;
use console::Style;

use super::board::Worst;
use super::error::Error;
use super::table::{Cell, Column, lines};
use super::{Common, words};
use crate::clock;

/// What a page of the api holds at most.
const PAGE: usize = 100;

/// Settings of `kiln deadletters`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Show all of them, the newest first
    #[command(
        after_help = "Examples:\n  kiln deadletters list\n  kiln deadletters list --json | jq '.deadLetters[].reason'"
    )]
    List {
        /// How many
        #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
        #[command(flatten)]
        common: Common,
    },
    /// Show what one says, and why it could not be read
    #[command(after_help = "Example:\n  kiln deadletters show 17")]
    Show {
        /// Its id, a number
        #[arg(value_name = "LETTER")]
        id: u64,
        #[command(flatten)]
        common: Common,
    },
    /// Have the log read again from there, after the cause was mended; needs a key with the scope `admin`
    #[command(after_help = "Example:\n  kiln deadletters redrive 17")]
    Redrive {
        /// Their ids, numbers
        #[arg(required = true, value_name = "LETTER")]
        ids: Vec<u64>,
        #[command(flatten)]
        common: Common,
    },
}

/// Does it.
pub(super) async fn run(args: &Args) -> Result<(), Error> {
    match &args.command {
        Command::List { limit, common } => list(*limit as usize, common).await,
        Command::Show { id, common } => {
            let letter = common.client()?.dead_letter(*id).await.map_err(absent)?;
            let out = common.out();
            out.json(&letter)?;
            Ok(out.say(&told(&letter))?)
        }
        Command::Redrive { ids, common } => redrive(ids, common).await,
    }
}

async fn list(limit: usize, common: &Common) -> Result<(), Error> {
    let (client, out) = (common.client()?, common.out());
    let mut list = client.dead_letters(limit.min(PAGE), None).await?;
    while let Some(cursor) = list.next_cursor.take_if(|_| list.dead_letters.len() < limit) {
        let page = client.dead_letters((limit - list.dead_letters.len()).min(PAGE), Some(&cursor)).await?;
        list.dead_letters.extend(page.dead_letters);
        list.next_cursor = page.next_cursor;
    }
    out.json(&list)?;
    if list.dead_letters.is_empty() {
        return Ok(out.say("there are no dead letters")?);
    }
    for line in table(&list.dead_letters, clock::now(), out.width) {
        out.say(&line)?;
    }
    Ok(())
}

fn table(letters: &[DeadLetter], now: Timestamp, width: Option<usize>) -> Vec<String> {
    let column = |title, is_flexible, leaves| Column { title, is_flexible, leaves };
    let columns =
        [column("letter", false, 0), column("kept", false, 2), column("why", true, 0), column("subject", true, 1)];
    let row = |letter: &DeadLetter| {
        let texts = [
            clean(&letter.id, 20),
            words::ago(letter.time, now),
            clean(&letter.reason, 300),
            clean(&letter.subject, 300),
        ];
        texts.map(Cell::new).into_iter().collect()
    };
    let rows: Vec<Vec<Cell>> = letters.iter().map(row).collect();
    lines(&columns, &rows, width)
}

fn told(whole: &WholeDeadLetter) -> String {
    let WholeDeadLetter { letter, headers, body, body_truncated, size_bytes } = whole;
    let mut text = String::new();
    let mut row = |title: &str, what: &str| {
        let title = Style::new().dim().apply_to(format!("{title:<9}"));
        let _ = writeln!(text, "{title}{}", clean(what, 2000));
    };
    row("letter", &letter.id);
    row("why", &letter.reason);
    row("subject", &letter.subject);
    row("message", &format!("{} of {}, {}", letter.sequence, letter.stream, words::size(*size_bytes)));
    row("kept", &letter.time.to_string());
    for (name, value) in headers {
        row("header", &format!("{name}: {value}"));
    }
    let more = if *body_truncated { "\n…" } else { "" };
    let body: Vec<_> = body.lines().map(|line| clean(line, 16 * 1024)).collect();
    text + "\n" + &body.join("\n") + more
}

async fn redrive(ids: &[u64], common: &Common) -> Result<(), Error> {
    let (client, out) = (common.client()?, common.out());
    let mut worst = Worst::none();
    for id in ids {
        let one = async {
            let redriven = client.redrive(*id).await.map_err(absent)?;
            out.json(&redriven)?;
            Ok(out.say(&format!("letter {id}: {}", clean(&redriven.effect, 500)))?)
        };
        worst.add(one.await)?;
    }
    worst.result()
}

/// The sentence for a job that is not there speaks of jobs.
fn absent(error: crate::client::kiln::Error) -> Error {
    match error {
        crate::client::kiln::Error::Problem(problem) if problem.status == 404 => {
            Error::NotFound("there is no such dead letter; `kiln deadletters list` shows those that there are".into())
        }
        error => error.into(),
    }
}
