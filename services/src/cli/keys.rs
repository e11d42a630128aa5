//! `kiln keys`: makes, shows and revokes API keys.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Subcommand;

use crate::keys::{Scope, file};

/// Settings of `kiln keys`.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// File of the keys, the same that the api reads
    #[arg(long, env = "KILN_API_KEYS_FILE", global = true, default_value = "keys.json")]
    api_keys_file: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Make a key and print its secret, which is never shown again
    Create {
        /// Whose it is, for people
        #[arg(long)]
        label: String,
        /// What it may be used for, separated by commas
        #[arg(long, value_enum, value_delimiter = ',', default_values = ["submit", "read", "cancel"])]
        scopes: Vec<Scope>,
        /// Requests that it may make in a minute; without it, any number
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
        rate_per_minute: Option<u32>,
    },
    /// Show every key, without its secret
    List,
    /// Refuse a key from now on; running servers notice within seconds
    Revoke {
        /// The key's id
        id: String,
    },
}

/// Does it, and says what was done.
pub(super) fn run(args: Args) -> Result<String, file::Error> {
    let path = &args.api_keys_file;
    match args.command {
        Command::Create { label, scopes, rate_per_minute } => {
            let (id, secret) = file::create(path, &label, scopes, rate_per_minute)?;
            Ok(format!("{id}\n{}", secret.expose()))
        }
        Command::List => {
            let mut lines = String::new();
            for record in file::read(path)?.keys {
                let scopes: Vec<&str> = record.scopes.iter().map(|scope| scope.name()).collect();
                let rate = record.rate_per_minute.map_or("any rate".into(), |rate| format!("{rate} a minute"));
                let state = record.revoked_at.map_or("valid".into(), |time| format!("revoked {time}"));
                let (id, scopes, label) = (record.id, scopes.join(","), record.label.escape_debug());
                let _ = writeln!(lines, "{id}  {scopes}  {rate}  made {}  {state}  {label}", record.created_at);
            }
            Ok(lines)
        }
        Command::Revoke { id } => {
            file::revoke(path, &id)?;
            Ok(format!("{id} is revoked"))
        }
    }
}
