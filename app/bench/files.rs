//! The files that a benchmark is written to.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;

/// A file that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {path}: {reason}")]
pub(super) struct FileError {
    path: String,
    reason: io::Error,
}

/// Finds out whether `path` can be written, before minutes are spent on what would be lost. Leaves no trace.
pub(super) fn check(path: &Path) -> Result<(), FileError> {
    let checked = match File::create_new(path) {
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            File::options().append(true).open(path).map(drop)
        }
        Err(error) => Err(error),
    };
    checked.map_err(|reason| failed(path, reason))
}

/// Writes the whole file, in the place of what is there.
pub(super) fn write(path: &Path, text: &str) -> Result<(), FileError> {
    fs::write(path, text).map_err(|reason| failed(path, reason))
}

fn failed(path: &Path, reason: io::Error) -> FileError {
    FileError { path: path.display().to_string(), reason }
}
