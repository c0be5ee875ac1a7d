//! A primary and its replicas, for as long as somebody holds them.

mod machines;
mod promotion;
mod rejoin;

pub(crate) use machines::Machines;
pub use promotion::Promotion;
pub use rejoin::Rejoined;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use crate::control::Control;
use crate::postgres::Postgres;
use crate::secrets::APP;
use crate::server::Server;
use crate::{Builder, LabError, Links, Role};

/// For a replica to see a new database.
const PATIENCE: Duration = Duration::from_secs(30);

/// Running servers. They stop when it is dropped, or when this process ends in whatever way.
///
/// Dropping it blocks until the servers are gone, as a destructor has to; in asynchronous code
/// [`shutdown`](Self::shutdown) does the same without blocking.
#[derive(Debug)]
#[must_use = "the servers stop when the world is dropped"]
pub struct World {
    /// The first to be dropped: nobody gives orders at the end. Only a world with a folder has one.
    control: Option<Control>,
    servers: Vec<Server>,
    pub(crate) machines: Arc<Machines>,
}

impl World {
    /// Begins the description of a world.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn of(machines: Arc<Machines>) -> Self {
        Self::with_database(machines, &APP.into())
    }

    fn with_database(machines: Arc<Machines>, database: &Arc<str>) -> Self {
        let servers = machines
            .all
            .iter()
            .map(|machine| Server::new(machine.clone(), database.clone()))
            .collect();
        Self { control: None, servers, machines }
    }

    /// Another handle to the same servers, whose URLs lead to this database.
    #[cfg(feature = "macros")]
    pub(crate) fn on_database(&self, database: &Arc<str>) -> Self {
        Self::with_database(self.machines.clone(), database)
    }

    /// The same, and it obeys other processes that may read this folder.
    pub(crate) fn listening(self, folder: &Path) -> Result<Self, LabError> {
        let control = Some(Control::open(folder, &self.machines)?);
        Ok(Self { control, ..self })
    }

    /// The server that takes writes: after a [promotion](Self::promote) the new one, even where the old one still does.
    #[must_use]
    pub fn primary(&self) -> &Server {
        &self.servers[self.machines.primary()]
    }

    /// The servers that follow it, in the order of the description.
    pub fn replicas(&self) -> impl Iterator<Item = &Server> {
        self.servers.iter().filter(|server| server.role() == Role::Replica)
    }

    /// The server of a region, primary or replica.
    #[must_use]
    pub fn server(&self, region: &str) -> Option<&Server> {
        self.servers().find(|server| server.region() == region)
    }

    pub(crate) fn known(&self, region: &str) -> Result<&Server, LabError> {
        self.server(region).ok_or_else(|| {
            let known = self.servers().map(|server| server.region().to_owned()).collect();
            LabError::UnknownRegion { region: region.to_owned(), known }
        })
    }

    /// All servers, in the order of the description, which has its primary first.
    pub fn servers(&self) -> impl Iterator<Item = &Server> {
        self.servers.iter()
    }

    /// The lines between its regions, and to them from anywhere else.
    #[must_use]
    pub fn links(&self) -> &Links {
        &self.machines.all[0].site.lines
    }

    /// The installation of PostgreSQL that runs here.
    #[must_use]
    pub fn postgres(&self) -> &Postgres {
        &self.machines.all[0].site.postgres
    }

    /// Whether this start made the data; false where it found that of an earlier one.
    #[must_use]
    pub fn created(&self) -> bool {
        self.machines.created
    }

    /// Makes a database that role `app` owns: one per test keeps tests apart. Returns when every
    /// running replica has it too. Its URLs: [`Server::url_of`].
    ///
    /// # Errors
    /// When there is one of that name; when a replica does not get it within 30 seconds, for
    /// example because its replay is paused.
    pub async fn create_database(&self, name: &str) -> Result<(), LabError> {
        let doing = "create a database";
        let primary = self.primary();
        let session = primary.machine().session(doing).await?;
        let site = &primary.machine().site;
        // Copying files takes half the time of logging what is in them, but forces a checkpoint, which is cheap without fsync
        // only. Before version 15 there is no other way.
        let copying = site.place.sweeper.is_some() && site.postgres.major() >= 15;
        let strategy = if copying { "STRATEGY file_copy" } else { "" };
        let statement = format!("CREATE DATABASE {} OWNER {APP} {strategy}", quoted(name));
        session.batch_execute(&statement).await.map_err(primary.machine().failed_to(doing))?;
        // Its commit is flushed, whatever `synchronous_commit` says.
        let flushed = session.query_one("SELECT pg_current_wal_flush_lsn()", &[]).await;
        let position = flushed.map_err(primary.machine().failed_to(doing))?.get(0);
        let running =
            self.replicas().filter(|replica| replica.is_running() && !replica.is_frozen());
        join_all(running.map(|replica| replica.wait_until_replayed(position, PATIENCE)))
            .await
            .into_iter()
            .collect()
    }

    /// Removes a database, and ends whatever session uses it.
    #[cfg(feature = "macros")]
    pub(crate) async fn drop_database(&self, name: &str) -> Result<(), LabError> {
        let doing = "drop a database";
        let primary = self.primary().machine();
        let session = primary.session(doing).await?;
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(name));
        session.batch_execute(&statement).await.map_err(primary.failed_to(doing))
    }

    /// Stops all servers, the primary first, so that replicas have received everything; without a
    /// folder to keep, removes the data.
    ///
    /// # Errors
    /// [`LabError::Shared`] in a test on shared servers. Servers that do not obey are killed.
    pub async fn shutdown(mut self) -> Result<(), LabError> {
        self.primary().breakable("shut its world down")?;
        drop(self.control.take());
        self.machines.let_go();
        for group in self.machines.in_order_of_stopping() {
            join_all(group.into_iter().map(|machine| machine.halt(machine.site.at_end()))).await;
        }
        Ok(())
    }
}

/// As an identifier in SQL: a database may have any name.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
