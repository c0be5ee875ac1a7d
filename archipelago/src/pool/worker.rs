//! `WorkerPool`: one thread's two pools to one database, pipelined and exclusive.

use tokio::runtime;

use super::exclusive::ExclusivePool;
use super::pipelined::PipelinedPool;
use crate::connection::Connector;

/// One thread's connections to one database, driven by the thread's runtime.
pub(super) struct WorkerPool {
    pub(super) runtime: runtime::Id,
    pub(super) pipelined: PipelinedPool,
    pub(super) exclusive: ExclusivePool,
}

impl WorkerPool {
    /// At most `size` connections to share and as many to check out, opened on demand.
    pub(super) fn new(runtime: runtime::Id, connector: &Connector, size: u32) -> Self {
        Self {
            runtime,
            pipelined: PipelinedPool::new(connector.clone(), size),
            exclusive: ExclusivePool::new(connector.clone(), size),
        }
    }

    /// How many connections are open, and how many of them are idle.
    pub(super) fn count(&self) -> (u32, u32) {
        let (shared, exclusive) = (self.pipelined.count(), self.exclusive.count());
        (shared.0 + exclusive.0, shared.1 + exclusive.1)
    }

    /// Takes no more requests. A connection in use closes when it comes back.
    pub(super) fn close(&self) {
        self.pipelined.close();
        self.exclusive.close();
    }
}
