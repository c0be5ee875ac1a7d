//! What the connections of one pool have in common, and what has happened to them, counted.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::close_reason::CloseReason;

/// What has happened to the connections of a pool since the process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolCounts {
    closed: [u64; CloseReason::ALL.len()],
    /// Statements that met a plan or a type which a change of the schema had made stale. A read is
    /// sent again on a new connection.
    pub stale_plans: u64,
    /// Requests to cancel what the server worked on for a caller who has left.
    pub cancels: u64,
}

impl PoolCounts {
    /// Connections that were closed for this reason.
    #[must_use]
    pub fn closed(&self, reason: CloseReason) -> u64 {
        self.closed[reason as usize]
    }
}

/// What the connections of one pool have in common.
#[derive(Debug, Default)]
pub(crate) struct PoolRecord {
    /// The generation of connections that is in use. Older ones are retired.
    pub(super) generation: AtomicU64,
    /// The prepared statements of all of them.
    pub(super) statements: AtomicU32,
    pub(super) stale_plans: AtomicU64,
    pub(super) cancels: AtomicU64,
    closed: [AtomicU64; CloseReason::ALL.len()],
}

impl PoolRecord {
    /// How many prepared statements the server keeps for the pool.
    pub(crate) fn statements(&self) -> u32 {
        self.statements.load(Ordering::Relaxed)
    }

    /// Records the end of a connection.
    pub(super) fn record_closed(&self, reason: CloseReason) {
        self.closed[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn counts(&self) -> PoolCounts {
        PoolCounts {
            closed: self.closed.each_ref().map(|count| count.load(Ordering::Relaxed)),
            stale_plans: self.stale_plans.load(Ordering::Relaxed),
            cancels: self.cancels.load(Ordering::Relaxed),
        }
    }
}
