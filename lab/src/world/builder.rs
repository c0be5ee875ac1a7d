//! The description of a world, and the order in which it starts.

use std::path::PathBuf;
use std::sync::{Arc, Weak};

use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::cleanup::{killed_runs, orphans, remove_folder};
use crate::command::Command;
use crate::control::{Control, Reply};
use crate::data_dir::{self, control_file};
use crate::disk;
use crate::layout;
use crate::links::{Distances, Links};
use crate::passwords::{APP, Passwords};
use crate::postgres::Search;
use crate::server_process::ServerProcess;
use crate::world::server_processes::ServerProcesses;
use crate::world::{World, database_roles, primary_data};
use crate::world_context::WorldContext;
use crate::world_dir::{LockedFolder, WorldDir};
use crate::{LabError, region};

/// How many replicas start at the same time. More would only compete for the disk.
const AT_ONCE: usize = 4;

/// Describes a [`World`]; see [`World::builder`].
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Builder {
    primary: String,
    replicas: Vec<String>,
    folder: Option<PathBuf>,
    search: Search,
    distances: Distances,
    shared_by_tests: bool,
}

impl Builder {
    /// The region of the primary. Every world needs one.
    pub fn primary(mut self, region: impl Into<String>) -> Self {
        self.primary = region.into();
        self
    }

    /// The regions with a replica; by default none.
    pub fn replicas<R: Into<String>>(mut self, regions: impl IntoIterator<Item = R>) -> Self {
        self.replicas = regions.into_iter().map(Into::into).collect();
        self
    }

    /// Keeps the data in this folder, where the next start finds it again.
    ///
    /// A new region gets a replica then, and the replica of a removed region is deleted. The
    /// primary's data stays, whatever its region is. After a [promotion](World::promote) it is the
    /// newest primary's, and the next start assigns the roles as they are described.
    ///
    /// While the world runs it takes commands from this user's other processes:
    /// [`Remote`](crate::Remote).
    ///
    /// Without a folder the data is removed with the world. It is written without fsync, and lost
    /// if the machine stops.
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Where to look for PostgreSQL; by default as this process's environment says.
    pub fn search(mut self, search: Search) -> Self {
        self.search = search;
        self
    }

    /// How far apart the regions are; by default they are at no distance.
    pub fn distances(mut self, distances: Distances) -> Self {
        self.distances = distances;
        self
    }

    /// Makes the world one whose servers tests share, so that harming one is refused.
    #[cfg(feature = "macros")]
    pub(crate) fn shared_by_tests(mut self) -> Self {
        self.shared_by_tests = true;
        self
    }

    /// Starts the servers. Returns when the primary accepts connections, and every replica streams
    /// and has replayed everything that the primary has.
    ///
    /// It needs a tokio runtime with I/O and timers. A new world of five servers takes some
    /// seconds, one that is kept in a folder less.
    ///
    /// # Errors
    /// Every [`LabError`] says what is wrong and what to do about it. What was started by then is
    /// stopped again.
    pub async fn start(self) -> Result<World, LabError> {
        region::check(&self.primary, &self.replicas)?;
        killed_runs::remove_all().await;
        let dir = self.open_dir().await?;
        let folder = dir.folder.clone();
        self.start_in(dir).await.map_err(|error| disk::explain(error, &folder))
    }

    async fn start_in(self, dir: WorldDir) -> Result<World, LabError> {
        let data = dir.primary();
        let data_exists = control_file::system_identifier(&data).is_some();
        let wanted = data_exists.then(|| control_file::made_with(&data)).flatten();
        let postgres = self.search.find(&dir.account, wanted).await?;
        tracing::debug!(version = postgres.version(), bin = %postgres.bin().display(), "PostgreSQL");
        self.remove_leftovers(&dir).await?;
        dir.make_log_folder()?;
        let passwords = Passwords::open(&dir, data_exists)?;
        let links = Links::new(self.distances)?.with_shared_by_tests(self.shared_by_tests);
        let context = Arc::new(WorldContext { postgres, passwords, dir, links });

        if !data_exists {
            data_dir::init(&context, &self.primary, &data).await?;
        }
        let primary = ServerProcess::launch(context.clone(), self.primary, data, None).await?;
        database_roles::provide(&primary).await?;
        let replicas: Vec<_> = stream::iter(self.replicas)
            .map(|region| {
                let data = context.dir.replica(&region);
                let upstream = Some(primary.as_upstream());
                ServerProcess::launch(context.clone(), region, data, upstream)
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let all = std::iter::once(primary).chain(replicas).collect();
        let processes = Arc::new(ServerProcesses::new(all, !data_exists));
        let control = self.folder.is_some().then(|| {
            let processes = Arc::downgrade(&processes);
            let execute = move |command| execute(processes.clone(), command);
            Control::open(&context.dir.folder, execute)
        });
        Ok(World { control: control.transpose()?, ..World::on(processes, &APP.into()) })
    }

    /// Locks the folder that was asked for, or a new temporary one.
    async fn open_dir(&self) -> Result<WorldDir, LabError> {
        let Some(folder) = &self.folder else { return WorldDir::temporary().await };
        let locked = LockedFolder::lock(folder).await?;
        Control::remove_stale_file(&locked.folder);
        primary_data::settle(&locked.home).await?;
        locked.open().await
    }

    /// Stops servers that a killed run left running, and removes the data of regions that this
    /// world does not have.
    async fn remove_leftovers(&self, dir: &WorldDir) -> Result<(), LabError> {
        let mut kept: Vec<_> = self.replicas.iter().map(|region| dir.replica(region)).collect();
        kept.push(dir.primary());
        for data in layout::data_folders(&dir.home) {
            orphans::stop_server_on(&data).await?;
            if !kept.contains(&data) {
                remove_folder(&data)?;
            }
        }
        Ok(())
    }
}

/// Carries out a command of another process, which does not keep the servers running.
async fn execute(processes: Weak<ServerProcesses>, command: Command) -> Reply {
    let processes = processes.upgrade().ok_or_else(|| "the lab is about to end".to_owned())?;
    let world = World::on(processes, &APP.into());
    world.execute(command).await.map_err(|error| error.to_string())
}
