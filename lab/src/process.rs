//! A program of PostgreSQL that cannot outlive this process: it runs under `process/watchdog.sh`.

pub(crate) mod log;
pub(crate) mod tree;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::poll::POLL;
use crate::postgres::Account;

/// Which shutdown a program gets if it has not ended by then.
const ESCALATION: [(Duration, Shutdown); 2] =
    [(Duration::from_secs(20), Shutdown::Immediate), (Duration::from_secs(25), Shutdown::Kill)];

/// A running program with its watchdog. `drop` stops it.
#[derive(Debug)]
pub(crate) struct Process {
    watchdog: Child,
    /// The watchdog's standard input: signals to send, and which processes are frozen.
    orders: ChildStdin,
    at_end: Shutdown,
    /// Since when the program is being stopped, and by what it was told last.
    stopping: Option<(Instant, Shutdown)>,
    /// The frozen processes, the program itself first; empty while the program runs.
    frozen: Vec<Pid>,
}

/// How to stop a program, from polite to final; the names of the first two are PostgreSQL's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shutdown {
    /// Ends sessions, writes a checkpoint, and leaves nothing to recover at the next start.
    Fast,
    /// Ends at once, for data that is never read again.
    Immediate,
    /// For a program that reacts to nothing else.
    Kill,
}

impl Shutdown {
    fn signal(self) -> &'static str {
        match self {
            Self::Fast => "INT",
            Self::Immediate => "QUIT",
            Self::Kill => "KILL",
        }
    }

    /// What a program is told that has been asked for this shutdown so long ago.
    fn after(self, elapsed: Duration) -> Self {
        let firmer = ESCALATION.iter().rev().find(|(after, _)| elapsed >= *after);
        firmer.map_or(self, |(_, firmer)| self.max(*firmer))
    }
}

/// What to run, and where.
pub(crate) struct Launch<'a> {
    pub(crate) account: &'a Account,
    pub(crate) program: &'a Path,
    pub(crate) folder: &'a Path,
    /// Takes what the program prints.
    pub(crate) log: File,
    /// How the program ends when this process is gone.
    pub(crate) at_end: Shutdown,
    /// A pipe that the watchdog holds until the program has ended.
    pub(crate) held_pipe: Stdio,
}

impl Launch<'_> {
    /// Starts the program; `adjust` adds arguments and environment.
    pub(crate) fn spawn<S: AsRef<OsStr>>(
        self,
        arguments: impl IntoIterator<Item = S>,
        adjust: impl FnOnce(&mut Command),
    ) -> io::Result<Process> {
        let mut command = self.account.command("/bin/sh", self.folder);
        command
            .args(["-c", include_str!("process/watchdog.sh"), "watchdog", self.at_end.signal()])
            .arg(self.program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(self.held_pipe)
            .stderr(self.log)
            // Ctrl-C in a terminal reaches the process group in the foreground. The servers are not
            // in it: they stop when the program in the foreground has finished with them.
            .process_group(0);
        adjust(&mut command);
        let mut watchdog = command.spawn()?;
        let Some(orders) = watchdog.stdin.take() else {
            return Err(io::Error::other("the watchdog has no standard input"));
        };
        Ok(Process { watchdog, orders, at_end: self.at_end, stopping: None, frozen: Vec::new() })
    }
}

impl Process {
    /// How the program ended, if it has.
    pub(crate) fn exited(&mut self) -> Option<ExitStatus> {
        // An error means that there is no child to wait for, because this process ignores SIGCHLD.
        self.watchdog.try_wait().unwrap_or_else(|_| Some(ExitStatus::default()))
    }

    /// One step of stopping the program; true when it has ended. Each call may tell it more firmly,
    /// so repeat it.
    pub(crate) fn stop(&mut self, how: Shutdown) -> bool {
        if self.exited().is_some() {
            return true;
        }
        let (since, told) = self.stopping.map_or((Instant::now(), None), |(s, t)| (s, Some(t)));
        let due = how.after(since.elapsed());
        if told.is_none_or(|told| told < due) {
            self.stopping = Some((since, due));
            // An error means that the watchdog has ended, and so does the program.
            let _ = writeln!(self.orders, "{}", due.signal());
            self.thaw();
        }
        false
    }

    /// Freezes these processes, the program itself first. They are woken when they have to end, by
    /// this process or by the watchdog.
    pub(crate) fn freeze(&mut self, processes: Vec<Pid>) {
        self.frozen = processes;
        self.report_frozen();
        for process in &self.frozen {
            // An error means that the process has ended.
            let _ = kill(*process, Signal::SIGSTOP);
        }
    }

    /// Wakes the frozen processes, the program itself last. Does nothing if none is frozen.
    pub(crate) fn thaw(&mut self) {
        if !self.frozen.is_empty() {
            for process in std::mem::take(&mut self.frozen).into_iter().rev() {
                let _ = kill(process, Signal::SIGCONT);
            }
            self.report_frozen();
        }
    }

    pub(crate) fn is_frozen(&self) -> bool {
        !self.frozen.is_empty()
    }

    /// Tells the watchdog, which has to wake these processes should this one die now.
    fn report_frozen(&mut self) {
        let processes: Vec<_> = self.frozen.iter().map(ToString::to_string).collect();
        let _ = writeln!(self.orders, "frozen {}", processes.join(" "));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        while !self.stop(self.at_end) {
            std::thread::sleep(POLL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shutdown_becomes_firmer_as_time_goes_by() {
        use Shutdown::{Fast, Immediate, Kill};
        for (asked, seconds, told) in [
            (Fast, 0, Fast),
            (Fast, 19, Fast),
            (Fast, 20, Immediate),
            (Fast, 25, Kill),
            (Immediate, 0, Immediate),
            (Immediate, 25, Kill),
            (Kill, 0, Kill),
            (Kill, 20, Kill),
        ] {
            assert_eq!(asked.after(Duration::from_secs(seconds)), told, "{asked:?}, {seconds} s");
        }
    }
}
