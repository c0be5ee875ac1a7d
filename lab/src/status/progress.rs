//! The primary's positions that earlier statuses saw, which tell since when a replica has been
//! behind.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tokio_postgres::types::PgLsn;

/// How many positions are kept; the oldest are dropped first.
const LONGEST: usize = 4096;

/// Positions of the primary, and when each was first seen.
#[derive(Debug, Default)]
pub(crate) struct PrimaryProgress {
    timeline: u32,
    seen: VecDeque<(PgLsn, Instant)>,
}

impl PrimaryProgress {
    pub(super) fn record(&mut self, timeline: u32, written: PgLsn, now: Instant) {
        if timeline != self.timeline {
            // Positions on another timeline cannot be compared.
            *self = Self { timeline, seen: VecDeque::new() };
        }
        if self.seen.back().is_none_or(|(last, _)| written > *last) {
            self.seen.push_back((written, now));
        }
        if self.seen.len() > LONGEST {
            self.seen.pop_front();
        }
    }

    /// How long a replica on the primary's timeline has been behind, at least; `None` if no status
    /// saw the primary ahead of it.
    pub(super) fn behind_for(&self, replayed: PgLsn, now: Instant) -> Option<Duration> {
        let shown = self.seen.partition_point(|(written, _)| *written <= replayed);
        self.seen.get(shown).map(|(_, since)| now.saturating_duration_since(*since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_since_the_first_status_that_saw_more() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut progress = PrimaryProgress::default();
        let behind_for = |progress: &PrimaryProgress, replayed: u64, now| {
            progress.behind_for(replayed.into(), at(now)).map(|time| time.as_secs())
        };
        assert_eq!(behind_for(&progress, 100, 0), None);
        for (written, seen) in [(100, 0), (100, 50), (204, 60), (300, 70)] {
            progress.record(1, PgLsn::from(written), at(seen));
        }
        assert_eq!(behind_for(&progress, 300, 71), None, "what is newer has just been written");
        assert_eq!(behind_for(&progress, 204, 71), Some(1));
        assert_eq!(behind_for(&progress, 100, 71), Some(11));
        assert_eq!(behind_for(&progress, 50, 71), Some(71));
        progress.record(2, PgLsn::from(250), at(80));
        assert_eq!(behind_for(&progress, 100, 81), Some(1), "on another timeline");
    }
}
