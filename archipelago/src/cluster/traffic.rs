//! What a region's database has done for this instance, counted.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::region::Reason;

/// What a region's database has done for this instance since the process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    reads: [u64; Reason::ALL.len()],
    /// Writes and transactions that were committed.
    pub writes: u64,
    /// Requests that failed there, or found no connection: the answer of another database, or an
    /// error, took their place. A query that the database refuses is none.
    pub failures: u64,
}

impl Traffic {
    /// Reads that it served for this reason.
    #[must_use]
    pub fn reads(&self, reason: Reason) -> u64 {
        self.reads[reason as usize]
    }

    /// All reads that it served.
    #[must_use]
    pub fn all_reads(&self) -> u64 {
        self.reads.iter().sum()
    }
}

/// Counts it.
#[derive(Default)]
pub(crate) struct TrafficCounters {
    reads: [AtomicU64; Reason::ALL.len()],
    writes: AtomicU64,
    failures: AtomicU64,
}

impl TrafficCounters {
    pub(crate) fn served_read(&self, reason: Reason) {
        self.reads[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn took_write(&self) {
        self.writes.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn counts(&self) -> Traffic {
        Traffic {
            reads: self.reads.each_ref().map(|count| count.load(Ordering::Relaxed)),
            writes: self.writes.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
        }
    }
}
