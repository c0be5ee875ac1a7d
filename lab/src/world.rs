//! A primary and its replicas, for as long as a handle to them exists.

mod builder;
mod database_roles;
mod databases;
mod divergence;
mod execute;
mod primary_data;
mod promotion;
mod rejoin;
mod server_processes;
mod take_status;

pub use builder::Builder;
pub use divergence::Backup;
pub use promotion::Promotion;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio_postgres::types::PgLsn;

use crate::LabError;
use crate::control::Control;
use crate::links::Links;
use crate::postgres::Postgres;
use crate::server::Server;
use crate::server_process::Role;
use server_processes::ServerProcesses;

/// For replicas to replay what the primary has written.
const CATCH_UP: Duration = Duration::from_secs(30);

/// Running servers. They stop when it is dropped, and when this process ends in any way.
///
/// Dropping it blocks until the servers have stopped. In asynchronous code
/// [`shutdown`](Self::shutdown) does the same without blocking.
#[derive(Debug)]
#[must_use = "the servers stop when the world is dropped"]
pub struct World {
    /// Dropped first, so that no command arrives at the end. Only a world with a folder has one.
    control: Option<Control>,
    servers: Vec<Server>,
    processes: Arc<ServerProcesses>,
}

impl World {
    /// Starts the description of a world.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A handle to these servers, whose URLs lead to a database.
    fn on(processes: Arc<ServerProcesses>, database: &Arc<str>) -> Self {
        let servers = processes
            .all
            .iter()
            .map(|process| Server::new(process.clone(), database.clone()))
            .collect();
        Self { control: None, servers, processes }
    }

    /// Another handle to the same servers, whose URLs lead to this database.
    #[cfg(feature = "macros")]
    pub(crate) fn on_database(&self, database: &Arc<str>) -> Self {
        Self::on(self.processes.clone(), database)
    }

    /// The server that takes writes. After a [promotion](Self::promote) it is the new primary, even
    /// if the old one still takes writes.
    #[must_use]
    pub fn primary(&self) -> &Server {
        &self.servers[self.processes.primary()]
    }

    /// The servers that follow the primary, in the order in which the world was described.
    pub fn replicas(&self) -> impl Iterator<Item = &Server> {
        self.servers.iter().filter(|server| server.role() == Role::Replica)
    }

    /// The server of a region, primary or replica.
    #[must_use]
    pub fn server(&self, region: &str) -> Option<&Server> {
        self.servers().find(|server| server.region() == region)
    }

    /// The server of a region, or an error with the regions that have one.
    fn required_server(&self, region: &str) -> Result<&Server, LabError> {
        self.server(region).ok_or_else(|| {
            let known = self.servers().map(|server| server.region().to_owned()).collect();
            LabError::UnknownRegion { region: region.to_owned(), known }
        })
    }

    /// All servers, in the order in which the world was described: its first primary first.
    pub fn servers(&self) -> impl Iterator<Item = &Server> {
        self.servers.iter()
    }

    /// The links between the servers' regions, and between them and any other place.
    #[must_use]
    pub fn links(&self) -> &Links {
        &self.processes.all[0].context.links
    }

    /// The installation of PostgreSQL that runs here.
    #[must_use]
    pub fn postgres(&self) -> &Postgres {
        &self.processes.all[0].context.postgres
    }

    /// Whether this start made the data; false if it found that of an earlier one.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.processes.is_new
    }

    /// Waits until every running replica has replayed what the primary has written by now.
    ///
    /// Stopped and frozen replicas are not waited for.
    ///
    /// # Errors
    /// [`LabError::NotReplayed`] if a replica has not caught up after 30 seconds, for example
    /// because its replay is paused; if the primary or a replica does not answer.
    pub async fn catch_up(&self) -> Result<(), LabError> {
        self.wait_until_replayed(self.primary().position().await?).await
    }

    /// Waits until every running replica has replayed this position.
    async fn wait_until_replayed(&self, position: PgLsn) -> Result<(), LabError> {
        let running =
            self.replicas().filter(|replica| replica.is_running() && !replica.is_frozen());
        join_all(running.map(|replica| replica.wait_until_replayed(position, CATCH_UP)))
            .await
            .into_iter()
            .collect()
    }

    /// Stops all servers, the primary first, so that the replicas have received everything. Without
    /// a folder to keep, the data is removed.
    ///
    /// A server that does not stop in time is killed.
    ///
    /// # Errors
    /// [`LabError::SharedServers`] in a test on shared servers.
    pub async fn shutdown(mut self) -> Result<(), LabError> {
        self.primary().not_shared("shut its world down")?;
        drop(self.control.take());
        self.processes.undo_what_delays_the_end();
        for group in self.processes.in_order_of_stopping() {
            let stops = group.into_iter().map(|it| it.halt(it.context.shutdown_at_end()));
            join_all(stops).await;
        }
        Ok(())
    }
}
