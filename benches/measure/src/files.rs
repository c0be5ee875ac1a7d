//! The files that a report is written to.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;

/// A file that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {path}: {reason}")]
pub struct FileError {
    path: String,
    reason: io::Error,
}

/// Checks that `path` can be written, before a measurement takes minutes and its result is lost.
/// Leaves no file behind.
///
/// # Errors
/// When the file cannot be created, or exists and cannot be written.
pub fn check(path: &Path) -> Result<(), FileError> {
    let checked = match File::create_new(path) {
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            File::options().append(true).open(path).map(drop)
        }
        Err(error) => Err(error),
    };
    checked.map_err(|reason| failed(path, reason))
}

/// Writes the whole file; replaces its content if it exists.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, text: &str) -> Result<(), FileError> {
    fs::write(path, text).map_err(|reason| failed(path, reason))
}

fn failed(path: &Path, reason: io::Error) -> FileError {
    FileError { path: path.display().to_string(), reason }
}
