//! What one request has brought, seen and written: plain data.
//!
//! What a position means is said in [`position`](crate::position). Here follows: of each database
//! the next read must show the latest position that the visitor brought, saw or wrote.

use std::time::Duration;

use crate::position::Position;
use crate::region::{Role, ServedBy};
use crate::server::Freshness;

/// How many cookies an answer takes back. A browser has fewer requests under way. More are forged,
/// or wait for the next answers.
const MOST_COOKIES: usize = 32;

/// A position that the visitor has brought, signed by this app.
#[derive(Clone, Debug)]
pub(crate) struct Brought {
    pub(crate) position: Position,
    /// The name of its cookie. None if it came in the header.
    pub(crate) cookie: Option<String>,
}

/// What one request has brought, read and written so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct SessionData {
    /// The database that served the last query. None before the first, and after a failed query.
    pub(crate) served_by: Option<ServedBy>,
    /// The time of all queries together.
    pub(crate) elapsed: Duration,
    /// The longest age that a read of this visitor may have.
    pub(crate) longest_age: Duration,
    /// Each database once.
    histories: Vec<History>,
    /// None before they were looked for.
    brought: Option<Vec<Brought>>,
}

/// What is known of one database.
#[derive(Clone, Copy, Debug)]
struct History {
    system: u64,
    /// The latest position that the visitor brought.
    brought: Option<Position>,
    /// The latest position that this request has read or written.
    own: Option<Position>,
    /// Whether this request has read or written it.
    is_used: bool,
}

impl History {
    fn latest(self) -> Option<Position> {
        later(self.brought, self.own)
    }
}

impl SessionData {
    /// How fresh the next read of the database `system` must be: at least what the visitor has seen
    /// and written there.
    ///
    /// `system` is 0 while this process does not know which database it reads. Then the position of
    /// the only one that the visitor knows holds; if they know several, the primary shows all that
    /// they have seen of its own.
    pub(crate) fn freshness(&self, system: u64) -> Option<Freshness> {
        match self.histories[..] {
            [_, _, ..] if system == 0 => Some(Freshness::Primary),
            _ => self.position(system).map(Freshness::AtLeast),
        }
    }

    /// The latest position of the database `system` that the visitor has seen or written.
    pub(crate) fn position(&self, system: u64) -> Option<Position> {
        match self.histories[..] {
            [only] if system == 0 => only.latest(),
            _ => self.histories.iter().find(|known| known.system == system)?.latest(),
        }
    }

    /// The positions that the answer carries: the latest of each database that this request has
    /// read or written.
    pub(crate) fn carried(&self) -> impl Iterator<Item = Position> {
        self.histories.iter().filter(|known| known.is_used).filter_map(|known| known.latest())
    }

    /// The cookies that an answer takes back which carries `position` in the cookie `name`: those
    /// of the same database that the visitor brought.
    pub(crate) fn replaced_by<'a>(
        &'a self,
        position: Position,
        name: &'a str,
    ) -> impl Iterator<Item = &'a str> {
        let brought = self.brought.iter().flatten();
        let names = brought.filter_map(move |brought| {
            let cookie = brought.cookie.as_deref()?;
            (brought.position.system == position.system && cookie != name).then_some(cookie)
        });
        names.take(MOST_COOKIES)
    }

    /// Whether what the visitor brought is known.
    pub(crate) fn knows_brought(&self) -> bool {
        self.brought.is_some()
    }

    /// Sets what the visitor brings.
    pub(crate) fn set_brought(&mut self, brought: Vec<Brought>) {
        for Brought { position, .. } in &brought {
            self.bring(*position);
        }
        self.brought = Some(brought);
    }

    /// Adds a position that the visitor brings by other ways than a cookie.
    pub(crate) fn bring(&mut self, position: Position) {
        let history = self.history(position.system);
        history.brought = later(history.brought, Some(position));
    }

    /// Replaces what the visitor brought of the position's database.
    pub(crate) fn replace_brought(&mut self, instead: Position) {
        self.history(instead.system).brought = Some(instead);
    }

    /// Adds a query to the time, and to the header that names the server. A failed query was served
    /// by no database.
    pub(crate) fn record_query(&mut self, served_by: Option<ServedBy>, time: Duration) {
        self.elapsed += time;
        self.served_by = served_by;
    }

    /// Records what a read has shown. The position of a primary replaces a brought one with a later
    /// LSN, unless that is of a newer timeline: the primary has lost it, or it was never reached.
    pub(crate) fn record_read(&mut self, position: Position, role: Role) {
        let is_impossible = |known: &Position| {
            role == Role::Primary && known.timeline <= position.timeline && known.lsn > position.lsn
        };
        let history = self.history(position.system);
        history.brought = history.brought.filter(|known| !is_impossible(known));
        history.own = later(history.own, Some(position));
        history.is_used = true;
    }

    /// Records the position of a write. It may be earlier than what the primary has shown, as a
    /// commit that writes nothing flushes nothing.
    pub(crate) fn record_write(&mut self, position: Position) {
        let history = self.history(position.system);
        history.own = later(history.own, Some(position));
        history.is_used = true;
    }

    fn history(&mut self, system: u64) -> &mut History {
        let known = self.histories.iter().position(|known| known.system == system);
        let index = known.unwrap_or_else(|| {
            self.histories.push(History { system, brought: None, own: None, is_used: false });
            self.histories.len() - 1
        });
        &mut self.histories[index]
    }
}

fn later(one: Option<Position>, other: Option<Position>) -> Option<Position> {
    one.into_iter().chain(other).reduce(Position::or_later)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYSTEM: u64 = 7;

    fn at(lsn: u64) -> Position {
        Position { system: SYSTEM, timeline: 1, lsn }
    }

    fn brings(positions: &[Position]) -> SessionData {
        let mut session = SessionData::default();
        let brought = |position: &Position| Brought {
            cookie: Some(position.to_string()),
            position: *position,
        };
        session.set_brought(positions.iter().map(brought).collect());
        session
    }

    fn carried(session: &SessionData) -> Vec<Position> {
        session.carried().collect()
    }

    #[test]
    fn the_next_read_shows_what_was_brought_read_and_written() {
        let mut session = SessionData::default();
        assert_eq!((session.position(SYSTEM), carried(&session)), (None, vec![]));
        session = brings(&[at(4), at(5), at(3)]);
        assert_eq!((session.position(SYSTEM), carried(&session)), (Some(at(5)), vec![]));
        session.record_read(at(3), Role::Replica);
        assert_eq!((session.position(SYSTEM), carried(&session)), (Some(at(5)), vec![at(5)]));
        session.record_write(at(9));
        session.record_write(at(8));
        assert_eq!((session.position(SYSTEM), carried(&session)), (Some(at(9)), vec![at(9)]));
    }

    #[test]
    fn a_primary_takes_back_a_position_that_it_never_reached() {
        let unknown = Position::unknown(SYSTEM, 1);
        for brought in [at(5), unknown] {
            let mut session = brings(&[brought]);
            session.record_read(at(3), Role::Replica);
            assert_eq!(carried(&session), [brought]);
            session.record_read(at(3), Role::Primary);
            assert_eq!(carried(&session), [at(3)]);
            let mut session = brings(&[brought]);
            session.record_write(at(3));
            assert_eq!(carried(&session), [brought], "a commit that wrote nothing");
        }
        // Only the next request's read can tell what the primary has reached since the write.
        let mut session = SessionData::default();
        session.record_write(unknown);
        session.record_read(at(3), Role::Primary);
        assert_eq!(carried(&session), [unknown]);
        // A promotion ends it too.
        let promoted = Position { timeline: 2, ..at(1) };
        let mut session = brings(&[unknown]);
        session.record_read(promoted, Role::Primary);
        assert_eq!(carried(&session), [promoted]);
    }

    #[test]
    fn databases_do_not_mix() {
        let other = Position { system: 8, timeline: 4, lsn: 1 };
        let mut session = brings(&[at(5), other]);
        assert_eq!(session.freshness(SYSTEM), Some(Freshness::AtLeast(at(5))));
        assert_eq!(session.freshness(8), Some(Freshness::AtLeast(other)));
        assert_eq!(session.freshness(9), None);
        assert_eq!(session.freshness(0), Some(Freshness::Primary), "which of both is not known");
        assert_eq!(brings(&[other]).freshness(0), Some(Freshness::AtLeast(other)));

        session.record_read(at(6), Role::Replica);
        assert_eq!(carried(&session), [at(6)]);
        let replaced = |name| session.replaced_by(at(6), name).collect::<Vec<_>>();
        assert_eq!(replaced("new"), [at(5).to_string()], "the other database's cookie stays");
        assert_eq!(replaced(&at(5).to_string()), [""; 0], "an answer keeps what it carries");

        session.replace_brought(at(7));
        let replaced = Some(at(7));
        assert_eq!((session.position(SYSTEM), session.position(8)), (replaced, Some(other)));
    }

    #[test]
    fn an_answer_takes_back_a_bounded_number_of_cookies() {
        let session = brings(&(0..1000).map(at).collect::<Vec<_>>());
        assert_eq!(session.replaced_by(at(999), "new").count(), MOST_COOKIES);
    }
}
