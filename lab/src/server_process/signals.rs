//! Freezing, waking and killing all processes of a server, by signals.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::sleep;

use crate::LabError;
use crate::cleanup::orphans;
use crate::poll::POLL;
use crate::process::{Shutdown, tree};
use crate::server_process::ServerProcess;

/// For every process of a server to stop. One may be in the middle of a write to the disk.
const PATIENCE: Duration = Duration::from_secs(10);

impl ServerProcess {
    pub(crate) async fn freeze(&self) -> Result<(), LabError> {
        let _changing = self.changing.lock().await;
        self.freeze_now().await.map(drop)
    }

    pub(crate) async fn thaw(&self) {
        // A server that is being stopped was woken for that, and may hold the lock for long.
        if !self.is_frozen() {
            return;
        }
        let _changing = self.changing.lock().await;
        self.thaw_now();
    }

    /// Wakes the server whatever else changes it, as a frozen server delays the end of a world.
    pub(crate) fn thaw_now(&self) {
        if let Some(process) = self.process().as_mut() {
            process.thaw();
        }
    }

    pub(crate) async fn kill(&self) {
        let _changing = self.changing.lock().await;
        // Frozen first, as a process that is still alive would react to the end of the others.
        let frozen = self.freeze_now().await;
        let all = frozen.unwrap_or_else(|_| self.postmaster().into_iter().collect());
        for process in all {
            let _ = kill(process, Signal::SIGKILL);
        }
        self.halt_now(Shutdown::Kill).await;
    }

    /// Stops the postmaster first, so that it forks no more, then its children until all are
    /// stopped.
    async fn freeze_now(&self) -> Result<Vec<Pid>, LabError> {
        let postmaster = self
            .postmaster()
            .ok_or_else(|| LabError::NotRunning { region: self.region.clone() })?;
        let since = Instant::now();
        loop {
            let processes = tree::processes_of(postmaster);
            let all: Vec<Pid> = processes.iter().map(|process| process.pid).collect();
            if processes.iter().all(|process| process.stopped) {
                return Ok(all);
            }
            if since.elapsed() > PATIENCE {
                self.thaw_now();
                return Err(self.timed_out("stand still", PATIENCE));
            }
            if let Some(process) = self.process().as_mut() {
                process.freeze(all);
            }
            sleep(POLL).await;
        }
    }

    pub(super) fn postmaster(&self) -> Option<Pid> {
        self.is_running().then(|| orphans::postmaster(self.data())).flatten()
    }
}
