//! How a world is described, and the order in which it starts.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::machine::Machine;
use crate::place::Place;
use crate::postgres::Search;
use crate::secrets::{ADMIN, APP, REPLICATOR, Secrets};
use crate::site::Site;
use crate::world::Machines;
use crate::{Distances, LabError, Links, World, cluster, region, scram, stale, sweep};

/// Replicas that start at the same time: more would only compete for the disk.
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
    shared: bool,
}

impl Builder {
    /// The region of the primary. Every world needs one.
    pub fn primary(mut self, region: impl Into<String>) -> Self {
        self.primary = region.into();
        self
    }

    /// The regions with a replica; none, if this is not called.
    pub fn replicas<R: Into<String>>(mut self, regions: impl IntoIterator<Item = R>) -> Self {
        self.replicas = regions.into_iter().map(Into::into).collect();
        self
    }

    /// Keeps the data in this folder, for the next start to find it again; a region that is new by
    /// then gets a replica, and the replica of a region that is gone is deleted. The data of the
    /// primary stays whatever its region is; after a [promotion](World::promote) that is the data of
    /// the newest primary, and at the next start the roles are as described again.
    ///
    /// While the world lives it obeys other processes of this user that name the folder: [`Remote`](crate::Remote).
    ///
    /// Without it the data goes with the world, and is written carelessly: fast, and lost when the
    /// machine stops.
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Where to look for PostgreSQL, if not where this process's environment says.
    pub fn search(mut self, search: Search) -> Self {
        self.search = search;
        self
    }

    /// How far apart the regions are; without this they are side by side.
    pub fn distances(mut self, distances: Distances) -> Self {
        self.distances = distances;
        self
    }

    /// Tests share the servers: what harms one is refused.
    #[cfg(feature = "macros")]
    pub(crate) fn shared(mut self) -> Self {
        self.shared = true;
        self
    }

    /// Starts the servers. Returns when the primary accepts connections, and every replica streams
    /// and has replayed all that the primary has.
    ///
    /// Run it on a tokio runtime with its I/O and timers on. A new world of five servers takes some
    /// seconds, one that is kept in a folder less.
    ///
    /// # Errors
    /// Every [`LabError`] says what is wrong and what to do about it. Whatever was started by then
    /// is stopped again.
    pub async fn start(self) -> Result<World, LabError> {
        region::check(&self.primary, &self.replicas)?;
        sweep::sweep().await;
        let place = match &self.folder {
            Some(folder) => Place::persistent(folder).await?,
            None => Place::temporary().await?,
        };
        let data = place.primary();
        let complete = cluster::system_identifier(&data).is_some();
        let wanted = complete.then(|| cluster::made_with(&data)).flatten();
        let postgres = self.search.find(&place.account, wanted).await?;
        tracing::debug!(version = postgres.version(), bin = %postgres.bin().display(), "PostgreSQL");
        self.tidy(&place).await?;
        let secrets = Secrets::open(&place, complete)?;
        let lines = Links::new(self.distances)?.with_neighbours(self.shared);
        let site = Arc::new(Site { postgres, secrets, place, lines });

        if !complete {
            cluster::init(&site, &self.primary).await?;
        }
        let primary = Machine::launch(site.clone(), self.primary, data, None).await?;
        provide_roles(&primary).await?;
        let replicas: Vec<_> = stream::iter(self.replicas)
            .map(|region| {
                let data = site.place.replica(&region);
                Machine::launch(site.clone(), region, data, Some(primary.as_upstream()))
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let machines = std::iter::once(primary).chain(replicas).collect();
        let world = World::of(Arc::new(Machines::new(machines, !complete)));
        if self.folder.is_some() { world.listening(&site.place.folder) } else { Ok(world) }
    }

    /// Stops servers that a killed run left, and removes data that no region of this world has.
    async fn tidy(&self, place: &Place) -> Result<(), LabError> {
        let mut kept: Vec<_> = self.replicas.iter().map(|region| place.replica(region)).collect();
        kept.push(place.primary());
        for data in stale::data_folders(&place.home) {
            stale::stop_server_on(&data).await?;
            if !kept.contains(&data) {
                cluster::remove(&data)?;
            }
        }
        let logs = place.home.join("log");
        cluster::remove(&logs)?;
        fs::create_dir(&logs)
            .and_then(|()| place.share(&logs))
            .map_err(LabError::file("make the folder", &logs))
    }
}

/// Makes the roles and the database of applications, each where it is missing: a start that was
/// killed in the middle goes on at the next.
async fn provide_roles(primary: &Machine) -> Result<(), LabError> {
    let doing = "make its roles";
    let failed = primary.failed_to(doing);
    let secrets = &primary.site.secrets;
    let session = primary.session(doing).await?;
    let there = format!(
        "SELECT rolname::text FROM pg_roles WHERE rolname IN ('{APP}', '{REPLICATOR}') \
         UNION ALL SELECT 'database' FROM pg_database WHERE datname = '{APP}'"
    );
    let there: Vec<String> =
        session.query(&there, &[]).await.map_err(&failed)?.iter().map(|row| row.get(0)).collect();
    let steps = [
        (APP, format!("CREATE ROLE {APP} LOGIN PASSWORD '{}'", scram::verifier(&secrets.app))),
        (
            REPLICATOR,
            format!(
                "CREATE ROLE {REPLICATOR} LOGIN REPLICATION PASSWORD '{}'",
                scram::verifier(&secrets.replicator)
            ),
        ),
        ("database", format!("CREATE DATABASE {APP} OWNER {APP}")),
    ];
    for (name, statement) in steps {
        if !there.iter().any(|it| it == name) {
            session.batch_execute(&statement).await.map_err(&failed)?;
        }
    }
    // It may see on which timeline a replica is. A folder of an earlier version has not granted it.
    session.batch_execute(&format!("GRANT pg_read_all_stats TO {APP}")).await.map_err(&failed)?;
    tracing::debug!(admin = ADMIN, app = APP, "the primary is ready");
    Ok(())
}
