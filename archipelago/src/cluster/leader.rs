//! The member that takes the writes, as far as this process knows.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use tokio::sync::{Notify, watch};

/// The member that takes the writes: the primary of regions.toml, until an election finds another.
pub(super) struct Leader {
    index: AtomicUsize,
    /// The timeline of its election; 0 before the first.
    timeline: AtomicU32,
    elections: watch::Sender<Elections>,
    requested: Notify,
}

/// Counts what a caller may wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Elections {
    /// Rounds in which every member was asked.
    pub(crate) rounds: u64,
    /// Elections that another member won.
    pub(crate) changes: u64,
}

impl Leader {
    pub(super) fn new(index: usize) -> Self {
        Self {
            index: AtomicUsize::new(index),
            timeline: AtomicU32::new(0),
            elections: watch::Sender::default(),
            requested: Notify::new(),
        }
    }

    pub(super) fn index(&self) -> usize {
        self.index.load(Ordering::Relaxed)
    }

    /// The timeline of its election; 0 before the first.
    pub(super) fn timeline(&self) -> u32 {
        self.timeline.load(Ordering::Relaxed)
    }

    pub(super) fn elections(&self) -> Elections {
        *self.elections.borrow()
    }

    /// Whether every member was asked once, or one was elected. Before that, a superseded primary
    /// may look like the leader.
    pub(super) fn has_held_election(&self) -> bool {
        self.timeline() > 0 || self.elections().rounds > 0
    }

    /// Records the winner of an election.
    pub(super) fn set(&self, index: usize, timeline: u32) {
        let before = self.index.swap(index, Ordering::Relaxed);
        self.timeline.store(timeline, Ordering::Relaxed);
        if before != index {
            self.elections.send_modify(|elections| elections.changes += 1);
        }
    }

    /// Records that every member was asked.
    pub(super) fn end_round(&self) {
        self.elections.send_modify(|elections| elections.rounds += 1);
    }

    /// Asks for an election.
    pub(super) fn request_election(&self) {
        self.requested.notify_one();
    }

    /// Resolves once an election is requested.
    pub(super) async fn election_requested(&self) {
        self.requested.notified().await;
    }

    /// Resolves at the next completed round or change of leader after `seen`.
    pub(super) async fn wait_for_election(&self, seen: Elections) {
        let _ = self.elections.subscribe().wait_for(|elections| *elections != seen).await;
    }
}
