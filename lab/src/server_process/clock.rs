//! A server's own clock, by libfaketime.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use crate::LabError;
use crate::server_process::ServerProcess;

/// Where systems install the library.
const FOLDERS: [&str; 6] = [
    "/usr/lib/x86_64-linux-gnu/faketime",
    "/usr/lib/aarch64-linux-gnu/faketime",
    "/usr/lib64/faketime",
    "/usr/lib/faketime",
    "/usr/local/lib/faketime",
    "/opt/homebrew/lib/faketime",
];

impl ServerProcess {
    /// Sets the clock from the next start on.
    pub(crate) fn store_clock(&self, seconds: i64) -> Result<(), LabError> {
        if seconds != 0 {
            library()?;
        }
        self.clock.store(seconds, Ordering::Relaxed);
        Ok(())
    }

    /// The environment that gives the server its clock. Durations are measured by the true one.
    pub(super) fn clock_variables(&self) -> Result<Vec<(&'static str, String)>, LabError> {
        match self.clock.load(Ordering::Relaxed) {
            0 => Ok(vec![]),
            seconds => Ok(vec![
                ("LD_PRELOAD", library()?.display().to_string()),
                ("FAKETIME", format!("{seconds:+}s")),
                ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ]),
        }
    }
}

/// Whether libfaketime is installed, without which no server can have a clock of its own.
#[must_use]
pub fn can_set_clocks() -> bool {
    library().is_ok()
}

fn library() -> Result<PathBuf, LabError> {
    let files = FOLDERS.iter().map(|folder| PathBuf::from(folder).join("libfaketimeMT.so.1"));
    files.into_iter().find(|file| file.exists()).ok_or(LabError::NoFakeClock)
}
