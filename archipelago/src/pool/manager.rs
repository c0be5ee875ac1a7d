//! What bb8 asks for: how to open a connection, and whether one is still of use.

use std::sync::Arc;

use bb8::{ManageConnection, PooledConnection};
use diesel_async::pooled_connection::PoolableConnection;
use tokio::sync::watch;
use tokio::time::timeout;

use super::io_thread::IoThread;
use super::slots::{Slots, Usage};
use crate::connection::{Connection, Connector};
use crate::error::DownReason;

/// A connection of bb8's pool in use. It goes back when this is dropped.
pub(super) type CheckedOut = PooledConnection<'static, Manager>;

/// A connection of bb8's pool.
pub(super) struct Pooled {
    pub(super) connection: Connection,
    /// A statement was sent, and its answer has not been read. After a timeout or a dropped future
    /// this stays true, and the connection is closed instead of being checked out again.
    pub(super) owes_answer: bool,
    /// Whether another usage gets its slot.
    pub(super) is_given_up: bool,
}

impl Pooled {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection, owes_answer: false, is_given_up: false }
    }

    /// Whether another caller may have it.
    fn is_of_use(&mut self) -> bool {
        let connection = &mut self.connection;
        !connection.is_closed() && !connection.inner.is_broken() && !self.leads_elsewhere()
    }

    /// Whether its server takes writes without leading, or belongs to another database.
    pub(super) fn leads_elsewhere(&self) -> bool {
        self.connection.is_rival_primary() || self.connection.is_foreign()
    }
}

/// Opens bb8's connections, and tells which of them are of no more use.
pub(super) struct Manager {
    pub(super) connector: Connector,
    pub(super) usage: Usage,
    pub(super) slots: Arc<Slots>,
    pub(super) io: Arc<IoThread>,
    /// Why the last attempt to open a connection failed.
    pub(super) failure: watch::Sender<Option<DownReason>>,
}

impl ManageConnection for Manager {
    type Connection = Pooled;
    type Error = DownReason;

    async fn connect(&self) -> Result<Pooled, DownReason> {
        let waited = self.connector.timeouts.checkout;
        // The caller may have got a connection that came back, or waits no longer.
        let slot = timeout(waited, self.slots.take(self.usage)).await;
        let slot = slot.map_err(|_| DownReason::Silent { waited })?;
        let (connector, slots) = (self.connector.clone(), self.slots.clone());
        // In a task of its own: bb8 would count an attempt that panics as under way for ever.
        let attempt = async move { slots.open(&connector, slot).await };
        let outcome = self.io.spawn(attempt).await;
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
        let closed = || DownReason::broken(&"the server closed the connection");
        pooled.is_of_use().then_some(()).ok_or_else(closed)
    }

    fn has_broken(&self, pooled: &mut Pooled) -> bool {
        let is_wanted = pooled.is_given_up || self.slots.is_claimed_from(self.usage);
        pooled.owes_answer || is_wanted || !pooled.is_of_use()
    }
}
