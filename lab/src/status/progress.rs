//! What earlier statuses saw of the primary: since when, at least, a replica has been behind.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tokio_postgres::types::PgLsn;

/// More than anybody looks at while a replica is behind. Beyond that the oldest are forgotten.
const LONGEST: usize = 4096;

/// Where the primary was, and when that was seen first.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    timeline: u32,
    seen: VecDeque<(PgLsn, Instant)>,
}

impl Memory {
    pub(super) fn note(&mut self, timeline: u32, written: PgLsn, now: Instant) {
        if timeline != self.timeline {
            // Positions of another log.
            *self = Self { timeline, seen: VecDeque::new() };
        }
        if self.seen.back().is_none_or(|(last, _)| written > *last) {
            self.seen.push_back((written, now));
        }
        if self.seen.len() > LONGEST {
            self.seen.pop_front();
        }
    }

    /// Of a replica on the timeline of the primary; `None`: nobody has seen that it was behind.
    pub(super) fn behind_for(&self, replayed: PgLsn, now: Instant) -> Option<Duration> {
        let shown = self.seen.partition_point(|(written, _)| *written <= replayed);
        self.seen.get(shown).map(|(_, since)| now.saturating_duration_since(*since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_is_behind_since_the_first_look_that_saw_more_than_it_shows() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut memory = Memory::default();
        let behind_for = |memory: &Memory, replayed: u64, now| {
            memory.behind_for(replayed.into(), at(now)).map(|time| time.as_secs())
        };
        assert_eq!(behind_for(&memory, 100, 0), None);
        for (written, seen) in [(100, 0), (100, 50), (204, 60), (300, 70)] {
            memory.note(1, PgLsn::from(written), at(seen));
        }
        assert_eq!(behind_for(&memory, 300, 71), None, "whatever is newer has just been written");
        assert_eq!(behind_for(&memory, 204, 71), Some(1));
        assert_eq!(behind_for(&memory, 100, 71), Some(11));
        assert_eq!(behind_for(&memory, 50, 71), Some(71));
        memory.note(2, PgLsn::from(250), at(80));
        assert_eq!(behind_for(&memory, 100, 81), Some(1), "on another timeline");
    }
}
