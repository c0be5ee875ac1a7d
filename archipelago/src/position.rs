//! Positions in the primary's log: what a commit returns, and what a replica must have replayed.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use tokio_postgres::types::PgLsn as Lsn;

/// A position in the write-ahead log: the system identifier, which a primary and its replicas
/// share, the timeline, and the LSN. Prints as `7437092810298376213-1-0/16B3748`.
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

impl Position {
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
    /// timeline the later LSN, else the later timeline, and `other` where the databases differ.
    #[must_use]
    pub fn or_later(self, other: Self) -> Self {
        let is_later =
            self.system == other.system && (self.timeline, self.lsn) > (other.timeline, other.lsn);
        if is_later { self } else { other }
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
        write!(f, "{}-{}-{}", self.system, self.timeline, Lsn::from(self.lsn))
    }
}

/// A text that is no [`Position`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a position; a position looks like 7437092810298376213-1-0/16B3748")]
pub struct InvalidPosition;

impl FromStr for Position {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let mut parts = text.splitn(3, '-');
        let mut next = || parts.next().ok_or(InvalidPosition);
        let (system, timeline, lsn) = (next()?, next()?, next()?);
        Ok(Self {
            system: system.parse().map_err(|_| InvalidPosition)?,
            timeline: timeline.parse().map_err(|_| InvalidPosition)?,
            lsn: lsn.parse::<Lsn>().map_err(|_| InvalidPosition)?.into(),
        })
    }
}

/// What a write returned, and the position of its commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed<T> {
    /// What the statement or the transaction returned.
    pub value: T,
    /// A position that includes the commit. None when the commit is certain and only the request
    /// for its position failed.
    pub position: Option<Position>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(system: u64, timeline: u32, lsn: u64) -> Position {
        Position { system, timeline, lsn }
    }

    #[test]
    fn a_position_reads_back_as_it_prints() {
        let position = at(7_437_092_810_298_376_213, 3, 0x1_016B_3748);
        assert_eq!(position.to_string(), "7437092810298376213-3-1/16B3748");
        assert_eq!(position.to_string().parse(), Ok(position));
        for text in ["", "7", "7-1", "7-1-", "7-1-16B3748", "a-1-0/1", "7-1-0/1-"] {
            assert_eq!(text.parse::<Position>(), Err(InvalidPosition), "{text}");
        }
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
            ((7, 2, 1), (7, 1, 9), (7, 2, 1)),
            ((7, 1, 9), (7, 2, 1), (7, 2, 1)),
            ((7, 1, 9), (8, 1, 1), (8, 1, 1)),
        ];
        for ((a, b, c), (d, e, f), (g, h, i)) in table {
            assert_eq!(at(a, b, c).or_later(at(d, e, f)), at(g, h, i));
        }
    }
}
