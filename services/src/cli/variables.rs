//! Variables that are set to nothing, as a line `NAME=` in a file of settings leaves them.

use clap::{Arg, Command};

/// The command, for which such a variable is not set at all.
pub(super) fn without_empty(command: Command) -> Command {
    command.mut_args(without_empty_variable).mut_subcommands(without_empty)
}

fn without_empty_variable(argument: Arg) -> Arg {
    let value = argument.get_env().and_then(std::env::var_os);
    if value.is_some_and(|value| value.is_empty()) { argument.env(None::<&str>) } else { argument }
}
