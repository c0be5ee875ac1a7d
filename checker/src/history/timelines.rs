//! Which timelines led to the last primary, and where each of them ended.

use std::time::Duration;

use super::Position;
use super::position::parse_lsn;
use crate::deployment::TimelineHistory;
use crate::nemesis::Promotion;

/// The path of the log that survived, in each database.
#[derive(Clone, Debug, Default)]
pub struct Timelines {
    /// The database at the end of the run.
    pub last: Path,
    /// The databases that were replaced by a new one.
    pub replaced: Vec<Path>,
    /// The promotions of this run, in order.
    pub promotions: Vec<Promotion>,
}

/// The path of one database's log.
#[derive(Clone, Debug, Default)]
pub struct Path {
    /// The system identifier.
    pub system: u64,
    /// The last primary's timeline.
    pub newest: u32,
    /// Earlier timelines on the path, each with the LSN at which the next one forked off.
    pub forks: Vec<(u32, u64)>,
}

impl Path {
    /// Parses PostgreSQL's own record, the file `pg_wal/0000000N.history`. Each line has a timeline,
    /// the LSN where it ended, and a reason.
    fn parse(TimelineHistory { system, newest, file }: &TimelineHistory) -> Self {
        let fork = |line: &str| {
            let mut words = line.split_whitespace();
            Some((words.next()?.parse().ok()?, parse_lsn(words.next()?)?))
        };
        Self { system: *system, newest: *newest, forks: file.lines().filter_map(fork).collect() }
    }

    fn is_before_a_fork(&self, position: Position) -> bool {
        self.forks
            .iter()
            .any(|(timeline, end)| *timeline == position.timeline && position.lsn <= *end)
    }
}

impl Timelines {
    /// The timelines of the last database, and of those that it has replaced.
    #[must_use]
    pub fn parse(
        last: &TimelineHistory,
        replaced: &[TimelineHistory],
        promotions: Vec<Promotion>,
    ) -> Self {
        let replaced = replaced.iter().map(Path::parse).collect();
        Self { last: Path::parse(last), replaced, promotions }
    }

    fn path(&self, position: Position) -> Option<&Path> {
        let mut paths = self.replaced.iter().chain([&self.last]);
        paths.find(|path| path.system == position.system)
    }

    /// When a promotion began that discarded this position, because the new primary had not
    /// received it; `None` if the position survived, or belongs to another database.
    #[must_use]
    pub fn lost_at(&self, position: Position) -> Option<Duration> {
        let path = self.path(position)?;
        if position.timeline == path.newest || path.is_before_a_fork(position) {
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
            || reached.timeline > wanted.timeline
                && self.path(wanted).is_some_and(|path| path.is_before_a_fork(wanted));
        is_one_path && reached.lsn >= wanted.lsn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_behind_a_fork_are_lost() {
        let file = "1\t0/3000100\tno recovery target specified\n\n\
                    2\t0/4000000\tno recovery target specified\n";
        let file = file.to_owned();
        let timelines = Timelines::parse(
            &TimelineHistory::default(),
            &[TimelineHistory { system: 7, newest: 3, file }],
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
        let last = TimelineHistory { system: 7, newest: 2, file: "1\t0/100\tx".to_owned() };
        let timelines = Timelines::parse(&last, &[], vec![Promotion::at_second(10, "ord", 2)]);
        let at = |timeline, lsn| Position { system: 7, timeline, lsn };
        assert!(timelines.includes(at(2, 0x101), at(1, 0x100)));
        assert!(!timelines.includes(at(2, 0x90), at(1, 0x100)), "not yet replayed that far");
        assert!(!timelines.includes(at(2, 0x900), at(1, 0x101)));
        assert!(!timelines.includes(at(1, 0x900), at(2, 0x101)));
        assert!(timelines.includes(at(1, 0x90), at(1, 0x90)));
    }
}
