//! What one request has seen and written: plain data.

use std::time::Duration;

use crate::position::Position;
use crate::region::{Role, ServedBy};

/// What one request has read and written so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Session {
    /// The database that served the last query. None before the first, and after a failed query.
    pub(crate) served_by: Option<ServedBy>,
    /// The time of all queries together.
    pub(crate) elapsed: Duration,
    /// The position that the visitor brought, and what reads have shown since.
    seen: Option<Position>,
    has_read: bool,
    written: Option<Position>,
}

impl Session {
    /// The position that the next read must show: all that the visitor has seen and written.
    pub(crate) fn position(&self) -> Option<Position> {
        later(self.seen, self.written)
    }

    /// The position of what this request has written.
    pub(crate) fn written(&self) -> Option<Position> {
        self.written
    }

    /// The position that the reads of this request have shown. None if there was no read.
    pub(crate) fn shown(&self) -> Option<Position> {
        self.seen.filter(|_| self.has_read)
    }

    /// Sets the position that the visitor brings.
    pub(crate) fn set_brought(&mut self, position: Option<Position>) {
        self.seen = position;
    }

    /// Adds a query to the time, and to the header that names the server. A failed query was served
    /// by no database.
    pub(crate) fn record_query(&mut self, served_by: Option<ServedBy>, time: Duration) {
        self.elapsed += time;
        self.served_by = served_by;
    }

    /// Records what a read has shown. The position of a primary replaces a later one on its
    /// timeline: no server could ever show that. A position that this request has written is kept:
    /// it may be later for a moment, if its commit did not wait until it was flushed.
    pub(crate) fn record_read(&mut self, position: Position, role: Role) {
        let is_impossible = |known: &Position| role == Role::Primary && *known > position;
        let known = self.seen.filter(|known| !is_impossible(known));
        self.seen = later(known, Some(position));
        self.has_read = true;
    }

    /// Records the position of a write.
    pub(crate) fn record_write(&mut self, position: Position) {
        self.written = later(self.written, Some(position));
    }
}

fn later(one: Option<Position>, other: Option<Position>) -> Option<Position> {
    one.into_iter().chain(other).reduce(Position::or_later)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(lsn: u64) -> Position {
        Position { system: 7, timeline: 1, lsn }
    }

    #[test]
    fn the_next_read_shows_what_was_brought_read_and_written() {
        let mut session = Session::default();
        assert_eq!((session.position(), session.shown()), (None, None));
        session.set_brought(Some(at(5)));
        assert_eq!((session.position(), session.shown()), (Some(at(5)), None));
        session.record_read(at(3), Role::Replica);
        assert_eq!((session.position(), session.shown()), (Some(at(5)), Some(at(5))));
        session.record_write(at(9));
        session.record_write(at(8));
        assert_eq!((session.position(), session.written()), (Some(at(9)), Some(at(9))));
        assert_eq!(session.shown(), Some(at(5)));
    }

    #[test]
    fn a_primary_takes_back_a_position_that_it_never_reached() {
        let mut session = Session::default();
        session.set_brought(Some(at(5)));
        session.record_read(at(3), Role::Primary);
        assert_eq!(session.position(), Some(at(3)));
    }
}
