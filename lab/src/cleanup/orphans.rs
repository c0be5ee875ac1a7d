//! What a killed run leaves in a data folder, and how to get it out of the way.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{LabError, family};

/// How long an orphaned server may take before it is asked more firmly.
const PATIENCE: [(Duration, Signal); 3] = [
    (Duration::ZERO, Signal::SIGINT),
    (Duration::from_secs(10), Signal::SIGQUIT),
    (Duration::from_secs(15), Signal::SIGKILL),
];

/// Part of the name of a data folder that is being made.
pub(crate) const UNFINISHED: &str = ".new-";

/// Stops a server that still runs on this data, and removes a `postmaster.pid` that would keep the
/// next one from starting. A pid file whose process is dead is left to PostgreSQL, which knows best.
pub(crate) async fn stop_server_on(data: &Path) -> Result<(), LabError> {
    let file = data.join("postmaster.pid");
    let since = Instant::now();
    loop {
        let Ok(content) = fs::read_to_string(&file) else { return Ok(()) };
        let pid = match first(&content) {
            Some(pid) if kill(pid, None) == Err(Errno::ESRCH) => return Ok(()),
            Some(pid) if runs_on(pid, data) => pid,
            // Empty, or the number now belongs to another process, be it another server.
            _ => return fs::remove_file(&file).map_err(LabError::file("remove", &file)),
        };
        let due = PATIENCE.iter().rev().find(|(after, _)| since.elapsed() >= *after);
        let signal = due.map_or(Signal::SIGINT, |(_, signal)| *signal);
        tracing::debug!(%pid, %signal, data = %data.display(), "stopping a server left running");
        // An error here means that it is gone, which the next round sees.
        let _ = kill(pid, signal);
        // Somebody may have frozen it.
        family::wake(pid);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The main process of the server that runs on this data.
pub(crate) fn postmaster(data: &Path) -> Option<Pid> {
    let content = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    first(&content).filter(|pid| runs_on(*pid, data))
}

/// The process that a `postmaster.pid` names; a single-user server writes its number with a minus.
fn first(content: &str) -> Option<Pid> {
    let number: i32 = content.lines().next()?.trim().parse().ok()?;
    Some(Pid::from_raw(number.abs()))
}

/// The data folders in a world's folder, finished or not.
pub(crate) fn data_folders(home: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(home).into_iter().flatten().flatten();
    entries
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name == "primary" || name.starts_with("primary.") || name.starts_with("replica-")
        })
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect()
}

/// Whether this process is a server with its data here. A server's working directory is its data.
fn runs_on(pid: Pid, data: &Path) -> bool {
    let process = PathBuf::from(format!("/proc/{pid}"));
    if Path::new("/proc/self/cwd").exists() {
        let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
        let folder = fs::read_link(process.join("cwd")).ok();
        return name.trim() == "postgres" && folder == data.canonicalize().ok();
    }
    // Without /proc (macOS): our servers are started with `-D` and the whole path.
    let pid = pid.to_string();
    Command::new("ps").args(["-ww", "-o", "args=", "-p", &pid]).output().is_ok_and(|printed| {
        let line = String::from_utf8_lossy(&printed.stdout).into_owned();
        line.contains("postgres") && line.contains(&*data.to_string_lossy())
    })
}
