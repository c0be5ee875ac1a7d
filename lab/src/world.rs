//! A primary and its replicas, for as long as somebody holds them.

use std::time::Duration;

use futures_util::future::join_all;

use crate::postgres::Postgres;
use crate::server::Server;
use crate::{Builder, LabError};

/// For a replica to see a new database.
const PATIENCE: Duration = Duration::from_secs(30);

/// Running servers. They stop when it is dropped, or when this process ends in whatever way.
///
/// Dropping it blocks until the servers are gone, as a destructor has to; in asynchronous code
/// [`shutdown`](Self::shutdown) does the same without blocking.
#[derive(Debug)]
#[must_use = "the servers stop when the world is dropped"]
pub struct World {
    pub(crate) primary: Server,
    pub(crate) replicas: Vec<Server>,
    pub(crate) created: bool,
}

impl World {
    /// Begins the description of a world.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The server that takes writes.
    #[must_use]
    pub fn primary(&self) -> &Server {
        &self.primary
    }

    /// The servers that follow it, in the order of the description.
    #[must_use]
    pub fn replicas(&self) -> &[Server] {
        &self.replicas
    }

    /// The server of a region, primary or replica.
    #[must_use]
    pub fn server(&self, region: &str) -> Option<&Server> {
        self.servers().find(|server| server.region() == region)
    }

    /// All servers, the primary first.
    pub fn servers(&self) -> impl Iterator<Item = &Server> {
        std::iter::once(&self.primary).chain(&self.replicas)
    }

    /// The installation of PostgreSQL that runs here.
    #[must_use]
    pub fn postgres(&self) -> &Postgres {
        &self.primary.site().postgres
    }

    /// Whether this start made the data; false where it found that of an earlier one.
    #[must_use]
    pub fn created(&self) -> bool {
        self.created
    }

    /// Makes a database that role `app` owns: one per test keeps tests apart. Returns when every
    /// running replica has it too. Its URLs: [`Server::url_of`].
    ///
    /// # Errors
    /// When there is one of that name; when a replica does not get it within 30 seconds, for
    /// example because its replay is paused.
    pub async fn create_database(&self, name: &str) -> Result<(), LabError> {
        let doing = "create a database";
        let session = self.primary.session(doing).await?;
        let statement = format!("CREATE DATABASE \"{}\" OWNER {}", name.replace('"', "\"\""), crate::secrets::APP);
        session.batch_execute(&statement).await.map_err(self.primary.failed_to(doing))?;
        let position = self.primary.position().await?;
        let running = self.replicas.iter().filter(|replica| replica.is_running());
        join_all(running.map(|replica| replica.wait_until_replayed(position, PATIENCE))).await.into_iter().collect()
    }

    /// Stops all servers, the primary first, so that replicas have received everything; without a
    /// folder to keep, removes the data.
    ///
    /// # Errors
    /// None today: servers that do not obey are killed.
    pub async fn shutdown(self) -> Result<(), LabError> {
        let how = self.primary.site().at_end();
        self.primary.halt(how).await;
        join_all(self.replicas.iter().map(|replica| replica.halt(how))).await;
        Ok(())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let how = self.primary.site().at_end();
        if let Some(mut primary) = self.primary.process().take() {
            primary.stop_blocking();
        }
        let replicas = || self.replicas.iter();
        // All at once, then wait for each.
        for replica in replicas() {
            replica.process().as_mut().map(|process| process.stop(how));
        }
        for replica in replicas() {
            drop(replica.process().take());
        }
    }
}
