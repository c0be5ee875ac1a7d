//! What one thread has of a pool: connections that it shares, and connections to check out.

use tokio::runtime;

use super::checkouts::Checkouts;
use super::shared::Shared;
use crate::connect::Connector;

/// One thread's connections to one database. Its runtime drives them.
pub(super) struct Part {
    pub(super) runtime: runtime::Id,
    pub(super) shared: Shared,
    pub(super) checkouts: Checkouts,
}

impl Part {
    /// Opens nothing yet, and later at most `size` connections to share and as many to check out.
    pub(super) fn new(runtime: runtime::Id, connector: &Connector, size: u32) -> Self {
        Self {
            runtime,
            shared: Shared::new(connector.clone(), size),
            checkouts: Checkouts::new(connector.clone(), size),
        }
    }

    /// How many connections are open, and how many of them idle.
    pub(super) fn count(&self) -> (u32, u32) {
        let (shared, checkouts) = (self.shared.count(), self.checkouts.count());
        (shared.0 + checkouts.0, shared.1 + checkouts.1)
    }

    /// Lets nobody ask any more. What is in use closes when it comes back.
    pub(super) fn close(&self) {
        self.shared.close();
        self.checkouts.close();
    }
}
