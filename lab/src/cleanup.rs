//! Removing what this run, and runs that were killed, leave behind.

pub(crate) mod killed_runs;
pub(crate) mod orphans;
pub(crate) mod temp_dirs;

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::LabError;
use crate::poll::POLL;

/// How long a program may go on writing files after its watchdog was told to kill it.
const LAST_WRITES: Duration = Duration::from_secs(2);

/// Removes a folder with all that is in it, if it exists.
pub(crate) fn remove_folder(folder: &Path) -> Result<(), LabError> {
    let since = Instant::now();
    loop {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            // A program of a killed run, which is about to be killed too, has just made a file.
            Err(error)
                if error.kind() == ErrorKind::DirectoryNotEmpty
                    && since.elapsed() < LAST_WRITES =>
            {
                std::thread::sleep(POLL);
            }
            removed => return removed.map_err(LabError::file("remove", folder)),
        }
    }
}
