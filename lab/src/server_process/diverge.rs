//! A server leaves the history of its world: it takes writes although no promotion made it the
//! primary, or its data is replaced by other data.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use crate::LabError;
use crate::data_dir;
use crate::process::Shutdown;
use crate::server_process::ServerProcess;

/// Ends recovery where the data is consistent, and begins a new timeline there, as a restore of a
/// backup does. Until then no session is let in, so that none sees a replica.
const RESTORE: &[&str] = &[
    "restore_command=false",
    "recovery_target=immediate",
    "recovery_target_action=promote",
    "hot_standby=off",
];

impl ServerProcess {
    /// Restarts this replica as a second primary on the same timeline.
    pub(crate) async fn start_writable(&self) -> Result<(), LabError> {
        let _changing = self.changing.lock().await;
        self.halt_now(Shutdown::Fast).await;
        self.set_upstream(None);
        self.store_lag(Duration::ZERO);
        let signal = self.data.join("standby.signal");
        match fs::remove_file(&signal) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(LabError::file("remove", &signal)(error))
            }
            _ => self.run().await,
        }
    }

    /// Replaces this server by a restored copy of the primary, which is writable on a timeline of
    /// its own.
    pub(crate) async fn become_clone_of(&self, primary: &Self) -> Result<(), LabError> {
        let _changing = self.changing.lock().await;
        self.halt_now(Shutdown::Fast).await;
        data_dir::base_backup(&self.context, &self.region, &self.data, primary.port).await?;
        self.set_upstream(None);
        self.store_lag(Duration::ZERO);
        self.context.dir.write_private(&self.data.join("recovery.signal"), "")?;
        self.run_with(RESTORE).await
    }

    /// Replaces this server's data by this backup, which is used up, and starts it as a primary.
    /// The server stops at once, without telling its replicas more.
    pub(crate) async fn put_back(&self, backup: &Path) -> Result<(), LabError> {
        let _changing = self.changing.lock().await;
        self.halt_now(Shutdown::Immediate).await;
        data_dir::replace(&self.data, backup)?;
        self.run().await
    }

    /// Replaces this server by a new primary with empty data and another system identifier.
    pub(crate) async fn start_anew(&self) -> Result<(), LabError> {
        let _changing = self.changing.lock().await;
        self.halt_now(Shutdown::Immediate).await;
        data_dir::init(&self.context, &self.region, &self.data).await?;
        self.set_upstream(None);
        self.store_lag(Duration::ZERO);
        self.run().await
    }
}
