//! The processes of a server: the postmaster and its children, each of which has a process group of its own.

use std::fs;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// One process of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) pid: Pid,
    /// Stopped by SIGSTOP, and deaf until SIGCONT.
    pub(crate) stopped: bool,
}

/// The postmaster, then its children. Those that have ended are left out, also where nobody has waited for them yet.
pub(crate) fn of(postmaster: Pid) -> Vec<Member> {
    let mut members: Vec<(i32, Member)> =
        processes().filter_map(|line| member(&line, postmaster.as_raw())).collect();
    members.sort_unstable_by_key(|(pid, _)| (*pid != postmaster.as_raw(), *pid));
    members.into_iter().map(|(_, member)| member).collect()
}

/// Wakes those that are stopped, the postmaster last, so that it finds its children listening.
pub(crate) fn wake(postmaster: Pid) {
    for member in of(postmaster).iter().rev().filter(|member| member.stopped) {
        let _ = kill(member.pid, Signal::SIGCONT);
    }
}

/// A line for each process of this machine: its number, its state and its parent's number.
fn processes() -> Box<dyn Iterator<Item = String>> {
    if Path::new("/proc/self/stat").exists() {
        let folders = fs::read_dir("/proc").into_iter().flatten().flatten();
        return Box::new(folders.filter_map(|folder| {
            let stat = fs::read_to_string(folder.path().join("stat")).ok()?;
            // Between the number and the state stands the program's name, in brackets, with any character in it.
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

fn member(line: &str, postmaster: i32) -> Option<(i32, Member)> {
    let mut words = line.split_whitespace();
    let (pid, state, parent) =
        (words.next()?.parse().ok()?, words.next()?, words.next()?.parse::<i32>().ok()?);
    let is_member = pid == postmaster || parent == postmaster;
    let member = Member { pid: Pid::from_raw(pid), stopped: state.starts_with('T') };
    (is_member && !state.starts_with(['Z', 'X'])).then_some((pid, member))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_and_its_children_are_found_and_seen_to_stop()
    -> Result<(), Box<dyn std::error::Error>> {
        let own = Pid::this();
        let mut child = Command::new("sleep").arg("60").spawn()?;
        let pid = Pid::from_raw(child.id().cast_signed());
        let seen = |member: Member| of(own).contains(&member);
        assert_eq!(of(own).first(), Some(&Member { pid: own, stopped: false }));
        assert!(seen(Member { pid, stopped: false }));

        kill(pid, Signal::SIGSTOP)?;
        while !seen(Member { pid, stopped: true }) {
            std::thread::yield_now();
        }
        kill(pid, Signal::SIGKILL)?;
        // Nobody has waited for it: a zombie is no member.
        while of(own).iter().any(|member| member.pid == pid) {
            std::thread::yield_now();
        }
        child.wait()?;
        Ok(())
    }
}
