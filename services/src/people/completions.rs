//! `kiln completions`: for shells.

use clap_complete::{Shell, generate};

use super::error::Error;
use crate::stdout::print;

/// Settings of `kiln completions`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  kiln completions bash > ~/.local/share/bash-completion/completions/kiln
  kiln completions zsh > ~/.zfunc/_kiln                      with ~/.zfunc in $fpath
  kiln completions fish > ~/.config/fish/completions/kiln.fish")]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub(super) fn run(args: &Args, mut program: clap::Command) -> Result<(), Error> {
    let mut script = Vec::new();
    generate(args.shell, &mut program, "kiln", &mut script);
    Ok(print(String::from_utf8_lossy(&script).trim_end())?)
}
