//! Prints to standard output, and has the error type that ends a command.

use std::error::Error;
use std::io::{self, Write};

/// Why a command failed. `main` prints it, and the program ends with status 1.
pub(crate) type CommandError = Box<dyn Error + Send + Sync>;

/// Prints to standard output. A closed pipe is an error here, where `print!` would panic.
pub(crate) fn print_status(text: &str) -> Result<(), CommandError> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
