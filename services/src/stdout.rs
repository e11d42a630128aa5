//! Standard output, whose reader may have seen enough: `kiln list | head` is no error.

use std::io::{self, Write};

/// Nobody reads standard output any more.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads the output any more")]
pub struct Closed;

/// Prints a line, or several; what else goes wrong with standard output, such as a full disk, is told to nobody, as
/// there is nothing better to be done.
pub fn print(text: &str) -> Result<(), Closed> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Closed),
        Ok(()) | Err(_) => Ok(()),
    }
}
