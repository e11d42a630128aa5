//! `kiln`: audio in, video out, durably.

use std::process::ExitCode;

fn main() -> ExitCode {
    kiln::cli::main()
}
