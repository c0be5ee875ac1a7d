//! Histories that part: a clone on a timeline of its own, a primary put back to an older copy, and
//! new servers behind the same URLs.

use std::path::PathBuf;

use futures_util::future::join_all;

use crate::LabError;
use crate::data_dir;
use crate::world::{World, database_roles};

/// The folder of a backup, which the next start of a kept world removes.
const BACKUP: &str = "primary.backup";

/// A copy of the primary's data, for [`World::put_back_to`].
#[derive(Debug)]
#[must_use = "a backup is of use only to put the primary back to it"]
pub struct Backup {
    folder: PathBuf,
}

impl World {
    /// Replaces a region's server by a clone of the primary, as a restored backup behind a wrong
    /// URL is. The clone takes writes on the timeline after the primary's, and no replica follows
    /// it. Two clones of one primary are on timelines of the same number. The others go on as
    /// before; [`rejoin`](Self::rejoin) ends it.
    ///
    /// # Errors
    /// [`LabError::SharedServers`]; [`LabError::UnknownRegion`]; [`LabError::IsPrimary`];
    /// [`LabError::ProgramFailed`] if the primary does not run; [`LabError::DidNotStart`].
    pub async fn replace_by_clone(&self, region: &str) -> Result<(), LabError> {
        self.primary().not_shared("replace a server")?;
        let _roles = self.processes.roles.lock().await;
        let (server, primary) = (self.required_server(region)?.process(), self.primary().process());
        if server.region == primary.region {
            return Err(LabError::IsPrimary { region: region.to_owned() });
        }
        server.become_clone_of(primary).await
    }

    /// Copies the primary's data, while it runs. A world has one backup; a second one replaces the
    /// first.
    ///
    /// # Errors
    /// [`LabError::ProgramFailed`] if the primary does not run.
    pub async fn backup(&self) -> Result<Backup, LabError> {
        let primary = self.primary().process();
        let folder = primary.context.dir.home.join(BACKUP);
        data_dir::base_backup(&primary.context, &primary.region, &folder, primary.port).await?;
        Ok(Backup { folder })
    }

    /// Puts the primary back to a backup: its machine went back to an older snapshot. It crashes,
    /// and starts on the timeline on which the backup was made. What it has written since is lost,
    /// and replicas that have received it are ahead of their primary. [`rejoin`](Self::rejoin) each
    /// of them before the primary's position passes theirs: PostgreSQL does not notice by then that
    /// the two histories differ.
    ///
    /// # Errors
    /// [`LabError::SharedServers`]; [`LabError::DidNotStart`].
    pub async fn put_back_to(&self, backup: Backup) -> Result<(), LabError> {
        self.primary().not_shared("put its primary back")?;
        let _roles = self.processes.roles.lock().await;
        self.primary().process().put_back(&backup.folder).await
    }

    /// Replaces the primary by a new, empty one with another system identifier, behind the same
    /// URL, and stops the replicas. Fill it, then [`start`](crate::Server::start) each replica,
    /// which copies it: so servers are upgraded, or restored from a dump.
    ///
    /// # Errors
    /// [`LabError::SharedServers`]; [`LabError::ProgramFailed`]; [`LabError::DidNotStart`].
    pub async fn start_anew(&self) -> Result<(), LabError> {
        self.primary().not_shared("replace its servers")?;
        let _roles = self.processes.roles.lock().await;
        let primary = self.primary().process();
        join_all(self.replicas().map(|replica| replica.process().stop())).await;
        primary.start_anew().await?;
        database_roles::provide(primary).await
    }
}
