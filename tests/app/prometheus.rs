//! Prometheus's own programs, as Debian's package `prometheus` has them. Where they are missing, a test
//! says so and leaves them out.

use std::io::{self, Write};
use std::process::{Child, Command, Output, Stdio};

/// Runs `promtool` on this input. None where it is not installed.
pub fn promtool(arguments: &[&str], input: &str) -> Option<Output> {
    let mut command = Command::new("promtool");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = start(&mut command)?;
    // It may have refused its arguments already.
    let _ = process.stdin.take().unwrap().write_all(input.as_bytes());
    Some(process.wait_with_output().unwrap())
}

/// None where the program is not installed.
fn start(command: &mut Command) -> Option<Child> {
    match command.spawn() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            println!("skipped: Prometheus is not installed (apt-get install prometheus)");
            None
        }
        started => Some(started.unwrap()),
    }
}
