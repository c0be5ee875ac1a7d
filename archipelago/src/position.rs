//! Positions in the primary's log: what a commit returns, and what a replica must have replayed.
//!
//! A position is (system identifier, timeline, LSN). It has one meaning, from which every use
//! follows:
//!
//! 1. **It bounds an answer from above.** No part of an answer is newer than its position.
//! 2. **It bounds a server from below.** A server that has replayed up to a commit's position shows
//!    that commit. With 1: a server that has replayed up to an answer's position shows all that the
//!    answer showed.
//! 3. **It is ordered within one history only:** one database, one timeline.
//!
//! So a position need not be the end of a record, and a later one is always safe: it may cost a
//! read the way to the primary, and never an answer that is too old. Of two positions of one
//! history a visitor therefore carries the later. A primary shows all of its timeline, so a
//! position beyond what the primary has reached bounds nothing that exists. Where a commit's
//! position could not be asked, one that only the primary reaches stands for it
//! ([`Position::is_unknown`]).

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use tokio_postgres::types::PgLsn as Lsn;

/// A position in the write-ahead log: the system identifier, which a primary and its replicas
/// share, the timeline, and the LSN. No part of an answer is newer than its position, and a server
/// that has replayed up to there shows all of it.
///
/// Prints as `v1-7437092810298376213-1-0/16B3748`: the version of the format comes first.
///
/// Positions are ordered within one history only, that is on one timeline. A promotion begins a new
/// timeline: a later LSN on the new timeline does not imply that every earlier LSN of the old one
/// is contained in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    pub(crate) system: u64,
    pub(crate) timeline: u32,
    pub(crate) lsn: u64,
}

/// The format that this version writes, and the only one that it reads.
const FORMAT: &str = "v1";

/// No record has this LSN, so no replica replays up to it.
const UNKNOWN: u64 = u64::MAX;

impl Position {
    /// A commit on a timeline of the database `system` whose position could not be asked: only the
    /// primary shows everything up to there.
    pub(crate) fn unknown(system: u64, timeline: u32) -> Self {
        Self { system, timeline, lsn: UNKNOWN }
    }

    /// Whether the commit is certain and its position could not be asked. A read
    /// [`AtLeast`](crate::Freshness::AtLeast) here is served by the primary, and returns a known
    /// position.
    #[must_use]
    pub fn is_unknown(self) -> bool {
        self.lsn == UNKNOWN
    }

    /// The timeline: 1 at first, and a higher number after each promotion.
    #[must_use]
    pub fn timeline(self) -> u32 {
        self.timeline
    }

    /// The system identifier of the database.
    #[must_use]
    pub fn system(self) -> u64 {
        self.system
    }

    /// The LSN: bytes since the beginning of the log.
    #[must_use]
    pub fn lsn(self) -> u64 {
        self.lsn
    }

    /// Of two positions that a visitor has seen, the one that their next read must show: on one
    /// timeline the later LSN. On two timelines the later LSN on the later timeline, as the earlier
    /// position may have outlived the promotion. `other` where the databases differ.
    #[must_use]
    pub fn or_later(self, other: Self) -> Self {
        if self.system != other.system {
            return other;
        }
        let (timeline, lsn) = (self.timeline.max(other.timeline), self.lsn.max(other.lsn));
        Self { timeline, lsn, ..other }
    }
}

impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let is_one_history = self.system == other.system && self.timeline == other.timeline;
        is_one_history.then(|| self.lsn.cmp(&other.lsn))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{FORMAT}-{}-{}-{}", self.system, self.timeline, Lsn::from(self.lsn))
    }
}

/// A text that is no [`Position`], or one in a format that this version does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a position; a position looks like v1-7437092810298376213-1-0/16B3748")]
#[non_exhaustive]
pub struct InvalidPosition;

impl FromStr for Position {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let mut parts = text.splitn(4, '-');
        let mut next = || parts.next().ok_or(InvalidPosition);
        let (format, system, timeline, lsn) = (next()?, next()?, next()?, next()?);
        if format != FORMAT {
            return Err(InvalidPosition);
        }
        Ok(Self {
            system: system.parse().map_err(|_| InvalidPosition)?,
            timeline: timeline.parse().map_err(|_| InvalidPosition)?,
            lsn: lsn.parse::<Lsn>().map_err(|_| InvalidPosition)?.into(),
        })
    }
}

/// What a write returned, and the position of its commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Committed<T> {
    /// What the statement or the transaction returned.
    pub value: T,
    /// A position that includes the commit. [Unknown](Position::is_unknown) when the commit is
    /// certain and only the request for its position failed.
    pub position: Position,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(system: u64, timeline: u32, lsn: u64) -> Position {
        Position { system, timeline, lsn }
    }

    #[test]
    fn a_position_reads_back_as_it_prints() {
        let table = [
            (at(7_437_092_810_298_376_213, 3, 0x1_016B_3748), "v1-7437092810298376213-3-1/16B3748"),
            (at(0, 0, 0), "v1-0-0-0/0"),
            (Position::unknown(7, 1), "v1-7-1-FFFFFFFF/FFFFFFFF"),
            (at(u64::MAX, u32::MAX, 1), "v1-18446744073709551615-4294967295-0/1"),
        ];
        for (position, text) in table {
            assert_eq!(position.to_string(), text);
            assert_eq!(text.parse(), Ok(position));
        }
    }

    #[test]
    fn other_texts_and_other_formats_are_no_positions() {
        let table = [
            "",
            "v1",
            "v1-7-1",
            "v1-7-1-",
            "v1-7-1-16B3748",
            "v1-a-1-0/1",
            "v1-7-1-0/1-",
            "v1--7-1-0/1",
            "v1-7-4294967296-0/1",
            "7-1-0/1",
            "v2-7-1-0/1",
            "V1-7-1-0/1",
            " v1-7-1-0/1",
        ];
        for text in table {
            assert_eq!(text.parse::<Position>(), Err(InvalidPosition), "{text}");
        }
    }

    #[test]
    fn an_unknown_position_is_later_than_all_of_its_timeline() {
        let unknown = Position::unknown(7, 1);
        assert!(unknown.is_unknown() && !at(7, 1, 5).is_unknown());
        assert_eq!(at(7, 1, 5).or_later(unknown), unknown);
        assert!(unknown.or_later(at(7, 2, 5)).is_unknown());
    }

    #[test]
    fn positions_are_ordered_on_one_timeline_only() {
        assert!(at(7, 1, 5) < at(7, 1, 6));
        assert_eq!(at(7, 1, 5).partial_cmp(&at(7, 2, 6)), None);
        assert_eq!(at(7, 1, 5).partial_cmp(&at(8, 1, 6)), None);
    }

    #[test]
    fn the_later_of_two_positions() {
        let table = [
            ((7, 1, 5), (7, 1, 6), (7, 1, 6)),
            ((7, 1, 6), (7, 1, 5), (7, 1, 6)),
            ((7, 2, 1), (7, 1, 9), (7, 2, 9)),
            ((7, 1, 9), (7, 2, 1), (7, 2, 9)),
            ((7, 1, 9), (8, 1, 1), (8, 1, 1)),
        ];
        for ((a, b, c), (d, e, f), (g, h, i)) in table {
            assert_eq!(at(a, b, c).or_later(at(d, e, f)), at(g, h, i));
        }
    }
}
