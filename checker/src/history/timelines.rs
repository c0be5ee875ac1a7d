//! Which timelines led to the last primary, and where each of them ended.

use std::time::Duration;

use super::Position;
use super::position::parse_lsn;
use crate::nemesis::Promotion;

/// The path of the log that survived.
#[derive(Clone, Debug, Default)]
pub struct Timelines {
    /// The last primary's system identifier.
    pub system: u64,
    /// The last primary's timeline.
    pub newest: u32,
    /// Earlier timelines on the path, each with the LSN at which the next one forked off.
    pub forks: Vec<(u32, u64)>,
    /// The promotions of this run, in order.
    pub promotions: Vec<Promotion>,
}

impl Timelines {
    /// Parses PostgreSQL's own record, the file `pg_wal/0000000N.history`. Each line has a timeline,
    /// the LSN where it ended, and a reason.
    #[must_use]
    pub fn parse(
        (system, newest): (u64, u32),
        history_file: &str,
        promotions: Vec<Promotion>,
    ) -> Self {
        let fork = |line: &str| {
            let mut words = line.split_whitespace();
            Some((words.next()?.parse().ok()?, parse_lsn(words.next()?)?))
        };
        Self { system, newest, forks: history_file.lines().filter_map(fork).collect(), promotions }
    }

    /// When a promotion began that discarded this position, because the new primary had not
    /// received it; `None` if the position survived, or belongs to another database.
    #[must_use]
    pub fn lost_at(&self, position: Position) -> Option<Duration> {
        let is_foreign = position.system != self.system;
        if is_foreign || position.timeline == self.newest || self.is_before_a_fork(position) {
            return None;
        }
        let later =
            self.promotions.iter().filter(|promotion| promotion.timeline > position.timeline);
        later.map(|promotion| promotion.began).min()
    }

    /// Whether a server that has reached `reached` has everything up to `wanted`, a position of the
    /// same database.
    #[must_use]
    pub fn includes(&self, reached: Position, wanted: Position) -> bool {
        let is_one_path = reached.timeline == wanted.timeline
            || reached.timeline > wanted.timeline && self.is_before_a_fork(wanted);
        is_one_path && reached.lsn >= wanted.lsn
    }

    fn is_before_a_fork(&self, position: Position) -> bool {
        self.forks
            .iter()
            .any(|(timeline, end)| *timeline == position.timeline && position.lsn <= *end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_behind_a_fork_are_lost() {
        let file = "1\t0/3000100\tno recovery target specified\n\n\
                    2\t0/4000000\tno recovery target specified\n";
        let timelines = Timelines::parse(
            (7, 3),
            file,
            vec![Promotion::at_second(10, "ord", 2), Promotion::at_second(20, "nrt", 3)],
        );
        let lost_at = |timeline, lsn| {
            timelines.lost_at(Position { system: 7, timeline, lsn }).map(|at| at.as_secs())
        };
        assert_eq!(lost_at(1, 0x300_0100), None);
        assert_eq!(lost_at(1, 0x300_0101), Some(10));
        assert_eq!(lost_at(2, 0x400_0001), Some(20));
        assert_eq!(lost_at(3, 0x900_0000), None);
    }

    #[test]
    fn a_newer_timeline_includes_an_older_one_up_to_its_end() {
        let timelines =
            Timelines::parse((7, 2), "1\t0/100\tx", vec![Promotion::at_second(10, "ord", 2)]);
        let at = |timeline, lsn| Position { system: 7, timeline, lsn };
        assert!(timelines.includes(at(2, 0x101), at(1, 0x100)));
        assert!(!timelines.includes(at(2, 0x90), at(1, 0x100)), "not yet replayed that far");
        assert!(!timelines.includes(at(2, 0x900), at(1, 0x101)));
        assert!(!timelines.includes(at(1, 0x900), at(2, 0x101)));
        assert!(timelines.includes(at(1, 0x90), at(1, 0x90)));
    }
}
