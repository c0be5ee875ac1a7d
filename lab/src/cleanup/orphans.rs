//! Servers that a killed run left running.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::LabError;
use crate::process::tree;

/// Which signal an orphaned server gets, from which time on.
const ESCALATION: [(Duration, Signal); 3] = [
    (Duration::ZERO, Signal::SIGINT),
    (Duration::from_secs(10), Signal::SIGQUIT),
    (Duration::from_secs(15), Signal::SIGKILL),
];

/// Stops a server that still runs on this data, and removes a `postmaster.pid` that would keep the
/// next one from starting. PostgreSQL itself removes a pid file whose process is dead.
pub(crate) async fn stop_server_on(data: &Path) -> Result<(), LabError> {
    let file = data.join("postmaster.pid");
    let since = Instant::now();
    loop {
        let Ok(content) = fs::read_to_string(&file) else { return Ok(()) };
        let pid = match pid_in(&content) {
            Some(pid) if kill(pid, None) == Err(Errno::ESRCH) => return Ok(()),
            Some(pid) if runs_on(pid, data) => pid,
            // The file is empty, or another process has this id by now, maybe another server.
            _ => return fs::remove_file(&file).map_err(LabError::file("remove", &file)),
        };
        let signal = signal_after(since.elapsed());
        tracing::debug!(%pid, %signal, data = %data.display(), "stopping a server left running");
        // An error means that the server has ended, which the next round sees.
        let _ = kill(pid, signal);
        // A server that the killed run has frozen handles no signal before it is woken.
        tree::wake(pid);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The main process of the server that runs on this data.
pub(crate) fn postmaster(data: &Path) -> Option<Pid> {
    let content = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    pid_in(&content).filter(|pid| runs_on(*pid, data))
}

fn signal_after(elapsed: Duration) -> Signal {
    let due = ESCALATION.iter().rev().find(|(after, _)| elapsed >= *after);
    due.map_or(Signal::SIGINT, |(_, signal)| *signal)
}

/// The process that a `postmaster.pid` names. A single-user server writes its id with a minus.
fn pid_in(content: &str) -> Option<Pid> {
    let number: i32 = content.lines().next()?.trim().parse().ok()?;
    Some(Pid::from_raw(number.abs()))
}

/// Whether this process is a server with its data here. A server's working directory is its data.
fn runs_on(pid: Pid, data: &Path) -> bool {
    let process = PathBuf::from(format!("/proc/{pid}"));
    if Path::new("/proc/self/cwd").exists() {
        let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
        let folder = fs::read_link(process.join("cwd")).ok();
        return name.trim() == "postgres" && folder == data.canonicalize().ok();
    }
    // Without /proc (macOS): the lab starts servers with `-D` and the whole path.
    let pid = pid.to_string();
    Command::new("ps").args(["-ww", "-o", "args=", "-p", &pid]).output().is_ok_and(|printed| {
        let line = String::from_utf8_lossy(&printed.stdout).into_owned();
        line.contains("postgres") && line.contains(&*data.to_string_lossy())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_orphan_is_told_more_firmly_as_time_goes_by() {
        for (seconds, signal) in [
            (0, Signal::SIGINT),
            (9, Signal::SIGINT),
            (10, Signal::SIGQUIT),
            (14, Signal::SIGQUIT),
            (15, Signal::SIGKILL),
            (600, Signal::SIGKILL),
        ] {
            assert_eq!(signal_after(Duration::from_secs(seconds)), signal, "after {seconds} s");
        }
    }

    #[test]
    fn the_pid_of_a_pid_file() {
        for (content, pid) in [
            ("4711\n/data\n", Some(4711)),
            (" 4711 ", Some(4711)),
            ("-4711\n", Some(4711)),
            ("", None),
            ("nonsense", None),
        ] {
            assert_eq!(pid_in(content).map(Pid::as_raw), pid, "{content:?}");
        }
    }
}
