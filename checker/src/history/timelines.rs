//! The history that survived: which timelines led to the last primary, and where each of them was left.

use std::time::Duration;

use serde::Serialize;

use crate::Position;
use crate::history::position::lsn_of;

/// A replica became the primary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Promotion {
    /// The region of the new primary.
    pub region: String,
    /// The one before it.
    pub before: String,
    /// The timeline that it began.
    pub timeline: u32,
    /// When it was asked for: from here on nothing is certain.
    pub began: Duration,
    /// When the new primary took writes.
    pub done: Duration,
    /// When the old primary, and whoever had lost the way, followed the new one.
    pub settled: Duration,
    /// The servers that could not follow it before they were made anew: the old primary first.
    pub rejoined: Vec<String>,
}

/// The way that the surviving log has taken.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Timelines {
    /// The last primary's.
    pub newest: u32,
    /// The timelines before it, each with the position where the next one began.
    pub left_at: Vec<(u32, u64)>,
    /// In order.
    pub promotions: Vec<Promotion>,
}

impl Timelines {
    /// Reads `PostgreSQL`'s own note of it, `pg_wal/0000000N.history`: a timeline, an LSN and a reason in each line.
    #[must_use]
    pub fn of_file(newest: u32, file: &str, promotions: Vec<Promotion>) -> Self {
        let line = |line: &str| {
            let mut words = line.split_whitespace();
            Some((words.next()?.parse().ok()?, lsn_of(words.next()?)?))
        };
        Self { newest, left_at: file.lines().filter_map(line).collect(), promotions }
    }

    /// When a promotion threw away what was written at this position: it had not reached the new primary. None where it survived.
    #[must_use]
    pub fn lost(&self, position: Position) -> Option<Duration> {
        if position.timeline == self.newest || self.contains(position) {
            return None;
        }
        let after =
            self.promotions.iter().filter(|promotion| promotion.timeline > position.timeline);
        after.map(|promotion| promotion.began).min()
    }

    /// Whether everything at `wanted` is there where `reached` is.
    #[must_use]
    pub fn includes(&self, reached: Position, wanted: Position) -> bool {
        let is_one_history = reached.timeline == wanted.timeline
            || reached.timeline > wanted.timeline && self.contains(wanted);
        is_one_history && reached.lsn >= wanted.lsn
    }

    fn contains(&self, position: Position) -> bool {
        self.left_at
            .iter()
            .any(|(timeline, end)| *timeline == position.timeline && position.lsn <= *end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::fixtures::promotion;

    #[test]
    fn what_lies_behind_the_fork_is_lost() {
        let file = "1\t0/3000100\tno recovery target specified\n\n2\t0/4000000\tno recovery target specified\n";
        let timelines =
            Timelines::of_file(3, file, vec![promotion("ord", 2, 10), promotion("nrt", 3, 20)]);
        let lost =
            |timeline, lsn| timelines.lost(Position { timeline, lsn }).map(|at| at.as_secs());
        assert_eq!(lost(1, 0x300_0100), None);
        assert_eq!(lost(1, 0x300_0101), Some(10));
        assert_eq!(lost(2, 0x400_0001), Some(20));
        assert_eq!(lost(3, 0x900_0000), None);
    }

    #[test]
    fn a_newer_timeline_includes_an_older_one_up_to_its_end() {
        let timelines = Timelines::of_file(2, "1\t0/100\tx", vec![promotion("ord", 2, 10)]);
        let at = |timeline, lsn| Position { timeline, lsn };
        assert!(timelines.includes(at(2, 0x101), at(1, 0x100)));
        assert!(!timelines.includes(at(2, 0x90), at(1, 0x100)), "still on its way");
        assert!(!timelines.includes(at(2, 0x900), at(1, 0x101)));
        assert!(!timelines.includes(at(1, 0x900), at(2, 0x101)));
        assert!(timelines.includes(at(1, 0x90), at(1, 0x90)));
    }
}
