//! A program of PostgreSQL that cannot outlive this process: it runs under `watchdog.sh`.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::account::Account;
use crate::sweeper::Sweeper;

/// How often a condition is looked at again.
pub(crate) const POLL: Duration = Duration::from_millis(5);

/// How long a program may take to obey before it is asked more firmly.
const PATIENCE: [(Duration, Halt); 2] =
    [(Duration::from_secs(20), Halt::Immediate), (Duration::from_secs(25), Halt::Kill)];

/// A running program with its watchdog; stopped, at the latest, by `drop`.
#[derive(Debug)]
pub(crate) struct Process {
    watchdog: Child,
    orders: ChildStdin,
    at_end: Halt,
    stopping: Option<(Instant, Halt)>,
    /// The processes that are stopped, the program itself first; none: it runs.
    frozen: Vec<Pid>,
}

/// The ways to stop a program, from polite to final, as PostgreSQL names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Halt {
    /// Ends sessions, and leaves nothing to recover at the next start.
    Fast,
    /// Ends at once; for data that nobody will read again.
    Immediate,
    /// For what listens to nothing else.
    Kill,
}

impl Halt {
    fn signal(self) -> &'static str {
        match self {
            Self::Fast => "INT",
            Self::Immediate => "QUIT",
            Self::Kill => "KILL",
        }
    }
}

/// What to run, and where.
pub(crate) struct Launch<'a> {
    pub(crate) account: &'a Account,
    pub(crate) program: &'a Path,
    pub(crate) folder: &'a Path,
    /// Takes what the program prints.
    pub(crate) log: File,
    /// How it ends when this process is gone.
    pub(crate) at_end: Halt,
    /// Who waits for this program before it removes the folder.
    pub(crate) sweeper: Option<&'a Sweeper>,
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
            .args(["-c", include_str!("watchdog.sh"), "watchdog", self.at_end.signal()])
            .arg(self.program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(self.sweeper.map_or_else(|| Ok(Stdio::null()), Sweeper::ticket)?)
            .stderr(self.log)
            // Ctrl-C in a terminal reaches the group of the program in front. Servers stop when
            // that program has finished with them, not before.
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
        // An error means that there is nothing to wait for: this process ignores its children's end.
        self.watchdog.try_wait().unwrap_or_else(|_| Some(ExitStatus::default()))
    }

    /// One step of stopping; true when the program is gone. Call it again and again: it asks more
    /// firmly as time goes by.
    pub(crate) fn stop(&mut self, how: Halt) -> bool {
        if self.exited().is_some() {
            return true;
        }
        let (since, told) = self.stopping.map_or((Instant::now(), None), |(s, t)| (s, Some(t)));
        let firmer = PATIENCE.iter().rev().find(|(after, _)| since.elapsed() >= *after);
        let due = firmer.map_or(how, |(_, firmer)| how.max(*firmer));
        if told.is_none_or(|told| told < due) {
            self.stopping = Some((since, due));
            // An error means that the listener is gone, so the program is going too.
            let _ = writeln!(self.orders, "{}", due.signal());
            self.thaw();
        }
        false
    }

    /// Stops these processes, the program itself first. They wake when they are to end, whoever ends them.
    pub(crate) fn freeze(&mut self, processes: Vec<Pid>) {
        self.frozen = processes;
        self.tell_frozen();
        for process in &self.frozen {
            // An error means that it has ended.
            let _ = kill(*process, Signal::SIGSTOP);
        }
    }

    /// Wakes what was frozen, the program itself last; nothing where it was not.
    pub(crate) fn thaw(&mut self) {
        if !self.frozen.is_empty() {
            for process in std::mem::take(&mut self.frozen).into_iter().rev() {
                let _ = kill(process, Signal::SIGCONT);
            }
            self.tell_frozen();
        }
    }

    pub(crate) fn is_frozen(&self) -> bool {
        !self.frozen.is_empty()
    }

    /// For the watchdog, should this process die now.
    fn tell_frozen(&mut self) {
        let processes: Vec<_> = self.frozen.iter().map(ToString::to_string).collect();
        let _ = writeln!(self.orders, "frozen {}", processes.join(" "));
    }

    /// Stops the program and waits, without a runtime: for `drop`.
    pub(crate) fn stop_blocking(&mut self) {
        while !self.stop(self.at_end) {
            std::thread::sleep(POLL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop_blocking();
    }
}
