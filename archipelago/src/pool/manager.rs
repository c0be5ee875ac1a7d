//! What bb8 asks for: how to open a connection, and whether one is still of use.

use bb8::ManageConnection;
use diesel_async::pooled_connection::PoolableConnection;
use tokio::sync::watch;

use crate::connection::{Connection, Connector};
use crate::error::DownReason;

/// A connection of bb8's pool.
pub(super) struct Pooled {
    pub(super) connection: Connection,
    /// A statement was sent, and its answer has not been read. After a timeout or a dropped future
    /// this stays true, and the connection is closed instead of being checked out again.
    pub(super) owes_answer: bool,
}

impl Pooled {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection, owes_answer: false }
    }

    /// Whether its server takes writes without leading, or belongs to another database.
    pub(super) fn leads_elsewhere(&self) -> bool {
        self.connection.is_rival_primary() || self.connection.is_foreign()
    }
}

/// Opens bb8's connections, and tells which of them are of no more use.
pub(super) struct Manager {
    connector: Connector,
    /// Why the last attempt to open a connection failed.
    failure: watch::Sender<Option<DownReason>>,
}

impl Manager {
    pub(super) fn new(connector: Connector, failure: watch::Sender<Option<DownReason>>) -> Self {
        Self { connector, failure }
    }
}

impl ManageConnection for Manager {
    type Connection = Pooled;
    type Error = DownReason;

    async fn connect(&self) -> Result<Pooled, DownReason> {
        let outcome = self.connector.open().await;
        let failure = outcome.as_ref().err().cloned();
        self.failure.send_if_modified(|last| {
            let is_news = failure.is_some() || last.is_some();
            *last = failure;
            is_news
        });
        outcome.map(Pooled::new)
    }

    /// Asks nothing of the server: the driver knows of a closed socket, and a query finds out the
    /// rest.
    async fn is_valid(&self, pooled: &mut Pooled) -> Result<(), DownReason> {
        if self.has_broken(pooled) {
            Err(DownReason::broken(&"the server closed the connection"))
        } else {
            Ok(())
        }
    }

    fn has_broken(&self, pooled: &mut Pooled) -> bool {
        let connection = &mut pooled.connection;
        let is_of_no_use = connection.is_closed() || connection.inner.is_broken();
        pooled.owes_answer || is_of_no_use || pooled.leads_elsewhere()
    }
}
