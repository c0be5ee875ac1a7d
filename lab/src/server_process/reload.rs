//! Settings that change while a server runs.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::{Signal, kill};
use tokio::time::sleep;

use crate::LabError;
use crate::poll::POLL;
use crate::server_process::ServerProcess;

/// For a server to read its settings.
const PATIENCE: Duration = Duration::from_secs(10);

impl ServerProcess {
    /// How long a replica holds back each commit.
    pub(crate) fn lag(&self) -> Duration {
        Duration::from_millis(self.lag.load(Ordering::Relaxed))
    }

    /// Sets the lag from the next start or [`reload`](Self::reload) on.
    pub(super) fn store_lag(&self, lag: Duration) {
        // The setting takes at most 24 days.
        let milliseconds =
            u64::try_from(lag.as_millis()).unwrap_or(u64::MAX).min(i32::MAX.unsigned_abs().into());
        self.lag.store(milliseconds, Ordering::Relaxed);
    }

    /// Holds back every commit that is replayed from now on, for this long after it was made.
    pub(crate) async fn set_lag(&self, lag: Duration) -> Result<(), LabError> {
        let _changing = self.changing.lock().await;
        self.store_lag(lag);
        if self.is_running() { self.reload().await } else { Ok(()) }
    }

    /// Returns when the running server uses the present settings. A frozen one reads them when it
    /// is woken.
    pub(super) async fn reload(&self) -> Result<(), LabError> {
        let doing = "read its settings";
        let before = if self.is_frozen() { None } else { Some(self.settings_read(doing).await?) };
        self.write_config_files()?;
        if let Some(postmaster) = self.postmaster() {
            let _ = kill(postmaster, Signal::SIGHUP);
        }
        let since = Instant::now();
        while let Some(before) = before {
            // A new session has the postmaster's settings, and the postmaster signals its children
            // before it starts one.
            if self.settings_read(doing).await? > before {
                break;
            }
            if since.elapsed() > PATIENCE {
                return Err(self.timed_out(doing, PATIENCE));
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    /// When the server last read its settings.
    async fn settings_read(&self, doing: &'static str) -> Result<SystemTime, LabError> {
        let session = self.session(doing).await?;
        let row = self
            .within(PATIENCE, doing, session.query_one("SELECT pg_conf_load_time()", &[]))
            .await?;
        Ok(row.get(0))
    }
}
