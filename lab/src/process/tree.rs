//! The processes of a server: the postmaster and its children, each in a process group of its own.

use std::fs;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// One process of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TreeProcess {
    pub(crate) pid: Pid,
    /// Whether SIGSTOP has stopped it; then it reacts to nothing before SIGCONT.
    pub(crate) stopped: bool,
}

/// The postmaster, then its children, without those that have ended, zombies included.
pub(crate) fn processes_of(postmaster: Pid) -> Vec<TreeProcess> {
    let mut found: Vec<(i32, TreeProcess)> =
        listing().filter_map(|line| parse(&line, postmaster.as_raw())).collect();
    found.sort_unstable_by_key(|(pid, _)| (*pid != postmaster.as_raw(), *pid));
    found.into_iter().map(|(_, process)| process).collect()
}

/// Wakes the stopped processes of a server, the postmaster last, so that its children react to it.
pub(crate) fn wake(postmaster: Pid) {
    for process in processes_of(postmaster).iter().rev().filter(|process| process.stopped) {
        let _ = kill(process.pid, Signal::SIGCONT);
    }
}

/// A line for each process of this machine: its id, its state and its parent's id.
fn listing() -> Box<dyn Iterator<Item = String>> {
    if Path::new("/proc/self/stat").exists() {
        let folders = fs::read_dir("/proc").into_iter().flatten().flatten();
        return Box::new(folders.filter_map(|folder| {
            let stat = fs::read_to_string(folder.path().join("stat")).ok()?;
            // The program's name stands in brackets between the id and the state, and may hold any
            // character.
            let (pid, (_, rest)) = (stat.split_once(' ')?.0, stat.rsplit_once(") ")?);
            Some(format!("{pid} {rest}"))
        }));
    }
    let printed =
        Command::new("ps").args(["-A", "-o", "pid=", "-o", "state=", "-o", "ppid="]).output();
    let printed = printed
        .map(|printed| String::from_utf8_lossy(&printed.stdout).into_owned())
        .unwrap_or_default();
    Box::new(printed.lines().map(str::to_owned).collect::<Vec<_>>().into_iter())
}

/// A line of the listing, if it stands for the postmaster or one of its children.
fn parse(line: &str, postmaster: i32) -> Option<(i32, TreeProcess)> {
    let mut words = line.split_whitespace();
    let (pid, state, parent) =
        (words.next()?.parse().ok()?, words.next()?, words.next()?.parse::<i32>().ok()?);
    let is_ours = pid == postmaster || parent == postmaster;
    let process = TreeProcess { pid: Pid::from_raw(pid), stopped: state.starts_with('T') };
    (is_ours && !state.starts_with(['Z', 'X'])).then_some((pid, process))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_and_its_children_are_seen_to_stop() -> Result<(), Box<dyn std::error::Error>> {
        let own = Pid::this();
        let mut child = Command::new("sleep").arg("60").spawn()?;
        let pid = Pid::from_raw(child.id().cast_signed());
        let seen = |process: TreeProcess| processes_of(own).contains(&process);
        assert_eq!(processes_of(own).first(), Some(&TreeProcess { pid: own, stopped: false }));
        assert!(seen(TreeProcess { pid, stopped: false }));

        kill(pid, Signal::SIGSTOP)?;
        while !seen(TreeProcess { pid, stopped: true }) {
            std::thread::yield_now();
        }
        kill(pid, Signal::SIGKILL)?;
        // It is a zombie, because nothing has waited for it yet.
        while processes_of(own).iter().any(|process| process.pid == pid) {
            std::thread::yield_now();
        }
        child.wait()?;
        Ok(())
    }
}
