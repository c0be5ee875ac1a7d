//! What can befall a server: a crash, and a freeze.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::sleep;

use crate::machine::Machine;
use crate::process::{Halt, POLL};
use crate::{LabError, family, stale};

/// For every process of a server to be seen standing still; one may be in the middle of a write to the disk.
const PATIENCE: Duration = Duration::from_secs(10);

impl Machine {
    pub(crate) async fn freeze(&self) -> Result<(), LabError> {
        let _changing = self.changing.lock().await;
        self.freeze_now().await.map(drop)
    }

    pub(crate) async fn thaw(&self) {
        // One that is stopping was woken for it, and may take long.
        if !self.is_frozen() {
            return;
        }
        let _changing = self.changing.lock().await;
        self.thaw_now();
    }

    /// For an end that is near: nobody waits for a server that hears nothing.
    pub(crate) fn thaw_now(&self) {
        if let Some(process) = self.process().as_mut() {
            process.thaw();
        }
    }

    pub(crate) async fn kill(&self) {
        let _changing = self.changing.lock().await;
        // All of it at one moment: a process that is still alive would react to the end of the others.
        let frozen = self.freeze_now().await;
        let all = frozen.unwrap_or_else(|_| self.postmaster().into_iter().collect());
        for process in all {
            let _ = kill(process, Signal::SIGKILL);
        }
        self.halt_now(Halt::Kill).await;
    }

    /// Stops the postmaster first, so that it forks no more, then its children, until there is none that runs.
    async fn freeze_now(&self) -> Result<Vec<Pid>, LabError> {
        let postmaster = self
            .postmaster()
            .ok_or_else(|| LabError::NotRunning { region: self.region.clone() })?;
        let since = Instant::now();
        loop {
            let members = family::of(postmaster);
            let all: Vec<Pid> = members.iter().map(|member| member.pid).collect();
            if members.iter().all(|member| member.stopped) {
                return Ok(all);
            }
            if since.elapsed() > PATIENCE {
                self.thaw_now();
                return Err(self.too_slow("stand still", PATIENCE));
            }
            if let Some(process) = self.process().as_mut() {
                process.freeze(all);
            }
            sleep(POLL).await;
        }
    }

    pub(super) fn postmaster(&self) -> Option<Pid> {
        self.is_running().then(|| stale::postmaster(self.data())).flatten()
    }
}
