//! An old primary, or a replica that cannot follow, becomes a replica of the present primary.

use std::time::Duration;

use crate::LabError;
use crate::server_process::Rejoined;
use crate::world::World;

/// For a primary to make a checkpoint.
const CHECKPOINT: Duration = Duration::from_mins(1);

impl World {
    /// Makes an old primary, or a replica that cannot follow, a replica of the present primary.
    /// Changes that only this server has are lost. Returns when it streams, and has replayed the
    /// primary's position.
    ///
    /// A running server is stopped first. `pg_rewind` is tried, which works as far back as the
    /// server's own log reaches. If it fails or is not installed, a base backup is made.
    ///
    /// # Errors
    /// [`LabError::SharedServers`]; [`LabError::UnknownRegion`]; [`LabError::IsPrimary`];
    /// [`LabError::NotRunning`], [`LabError::Frozen`] and [`LabError::TimedOut`] of the primary;
    /// those of [`Server::start`](crate::Server::start).
    pub async fn rejoin(&self, region: &str) -> Result<Rejoined, LabError> {
        self.primary().not_shared("change the roles of servers")?;
        let _roles = self.processes.roles.lock().await;
        let (server, primary) = (self.required_server(region)?.process(), self.primary().process());
        if server.region == primary.region {
            return Err(LabError::IsPrimary { region: region.to_owned() });
        }
        // Until its first checkpoint a new primary's data still names the old timeline, and
        // `pg_rewind` relies on it.
        let doing = "make a checkpoint";
        let session = primary.session(doing).await?;
        primary.within(CHECKPOINT, doing, session.batch_execute("CHECKPOINT")).await?;
        server.rejoin(primary.as_upstream()).await
    }
}
