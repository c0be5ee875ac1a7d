//! The last changes of the databases that this process observed, for status pages.

use std::collections::VecDeque;
use std::time::SystemTime;

use parking_lot::Mutex;

use crate::error::{DownReason, NoPrimary};

/// How many changes are kept.
const KEPT: usize = 50;

/// A change of a database that this process observed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Change {
    /// When this process noticed it, by its own clock.
    pub at: SystemTime,
    /// What has changed.
    pub event: Event,
}

/// What has changed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The database of a region serves reads again.
    Up {
        /// The region.
        region: &'static str,
    },
    /// The database of a region serves no reads any more, or for another reason than before.
    Down {
        /// The region.
        region: &'static str,
        /// Why. Its text may name a host: for operators, not for visitors.
        reason: DownReason,
    },
    /// Another database takes the writes, or the same one after a restart or on another timeline.
    Leads {
        /// Its region.
        region: &'static str,
        /// The timeline on which it takes them.
        timeline: u32,
    },
    /// No database takes the writes any more, or for another reason than before.
    NoPrimary {
        /// Why.
        reason: NoPrimary,
    },
}

/// The last changes, the oldest first.
#[derive(Default)]
pub(crate) struct Journal(Mutex<VecDeque<Change>>);

impl Journal {
    pub(crate) fn note(&self, event: Event) {
        let mut changes = self.0.lock();
        if changes.len() == KEPT {
            changes.pop_front();
        }
        changes.push_back(Change { at: SystemTime::now(), event });
    }

    pub(crate) fn changes(&self) -> Vec<Change> {
        self.0.lock().iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_changes_are_forgotten() {
        let journal = Journal::default();
        for timeline in 0..60 {
            journal.note(Event::Leads { region: "ord", timeline });
        }
        let changes = journal.changes();
        assert_eq!(changes.len(), KEPT);
        assert_eq!(changes[0].event, Event::Leads { region: "ord", timeline: 10 });
    }
}
