//! Reading what a program has logged.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// How many lines at the end of a log an error message shows.
const SHOWN: usize = 20;

/// How long the log is now: where the next message will begin.
pub(crate) fn length(log: &Path) -> u64 {
    log.metadata().map_or(0, |log| log.len())
}

/// What was logged from this byte on; nothing if the log cannot be read.
pub(crate) fn since(log: &Path, from: u64) -> String {
    let read = || {
        let mut file = File::open(log)?;
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_default()
}

/// The last lines that were logged from this byte on, indented.
pub(crate) fn tail(log: &Path, from: u64) -> String {
    let text = since(log, from);
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    if lines.is_empty() {
        return "  (nothing)".to_owned();
    }
    let last = &lines[lines.len().saturating_sub(SHOWN)..];
    last.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
