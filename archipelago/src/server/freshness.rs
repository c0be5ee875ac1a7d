//! How fresh a read must be, and whether a server's state is fresh enough for it.

use std::time::{Duration, Instant};

use super::state::ServerState;
use crate::position::Position;
use crate::region::Role;

/// How fresh the answer to a read must be. By default a read is at most
/// [`MAX_LAG`](crate::RegionSet::MAX_LAG) behind the primary, and a
/// [`Reader`](crate::Reader) shows at least what its visitor has written or seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Freshness {
    /// What the nearest server shows, even if it is older than the visitor's own writes.
    Any,
    /// Everything that the primary had committed this long ago, instead of `max_lag`. The age is
    /// measured by their positions in the log where this process knows both, or by the clocks of
    /// primary and replica: the one that makes it older counts, so a wrong clock costs reads at that
    /// replica.
    AtMost(Duration),
    /// Everything up to a position.
    AtLeast(Position),
    /// What the primary shows.
    Primary,
}

/// What a read requires of a server's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Requirement {
    pub(crate) at_least: Option<Position>,
    pub(crate) at_most: Option<Duration>,
    pub(crate) primary: bool,
    /// Whether a primary that does not lead may answer.
    pub(crate) allow_superseded: bool,
}

/// What the last election has found of a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    /// Whether it is the primary.
    pub(crate) leads: bool,
    /// Whether its timeline is the leader's, or an older one. A newer one may be a copy's.
    pub(crate) is_on_known_timeline: bool,
}

/// Why a server may not answer a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotFresh {
    /// The server has not yet replayed the required position, and will.
    NotReplayed,
    /// The server is further behind than the read allows, or its lag is unknown.
    TooOld,
    /// The server is not the primary, takes writes without leading, or belongs to another database.
    Unfit,
}

impl Requirement {
    pub(crate) const ANY: Self =
        Self { at_least: None, at_most: None, primary: false, allow_superseded: false };

    pub(crate) fn at_most(limit: Duration) -> Self {
        Self { at_most: Some(limit), ..Self::ANY }
    }

    pub(crate) fn and(self, freshness: Freshness) -> Self {
        match freshness {
            Freshness::Any => Self { allow_superseded: self.allow_superseded, ..Self::ANY },
            Freshness::AtMost(limit) => Self { at_most: Some(limit), ..self },
            Freshness::AtLeast(position) => self.and_at_least(Some(position)),
            Freshness::Primary => Self { primary: true, ..self },
        }
    }

    pub(crate) fn and_at_least(self, position: Option<Position>) -> Self {
        let both = self.at_least.zip(position).map(|(own, other)| own.or_later(other));
        Self { at_least: both.or(self.at_least).or(position), ..self }
    }

    /// Whether a server of the database `system` whose last known state is `state` satisfies this
    /// requirement at the moment `now`. `standing` is what the last election has found of it.
    ///
    /// A required position on an older timeline than the server's may be compared by its LSN alone:
    /// a server that has replayed that far on the newer timeline shows everything up to there that
    /// outlived the promotion. That holds for a timeline of this history only, and not for a copy's.
    pub(crate) fn met_by(
        self,
        state: &ServerState,
        system: u64,
        standing: Standing,
        now: Instant,
    ) -> Result<(), NotFresh> {
        let Standing { leads, is_on_known_timeline } = standing;
        let is_primary = state.role == Role::Primary;
        let is_unfit = is_primary && !leads && (self.primary || !self.allow_superseded);
        if is_unfit || self.primary && !is_primary {
            return Err(NotFresh::Unfit);
        }
        // A position of another database means nothing here.
        if let Some(wanted) = self.at_least.filter(|wanted| wanted.system == system)
            && (wanted.timeline > state.timeline
                || wanted.lsn > state.lsn && !is_primary
                || wanted.timeline < state.timeline && !is_on_known_timeline)
        {
            return Err(NotFresh::NotReplayed);
        }
        // A primary that leads is never behind.
        let Some(limit) = self.at_most.filter(|_| !is_primary) else { return Ok(()) };
        let is_young =
            state.as_of.is_some_and(|as_of| now.saturating_duration_since(as_of) <= limit);
        if is_young { Ok(()) } else { Err(NotFresh::TooOld) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYSTEM: u64 = 7;

    fn at(timeline: u32, lsn: u64) -> Position {
        Position { system: SYSTEM, timeline, lsn }
    }

    /// A server on timeline 2 at LSN 50, `age` seconds behind.
    fn server(role: Role, age: Option<u64>) -> ServerState {
        let asked = Instant::now();
        let as_of = age.map(|age| asked.checked_sub(Duration::from_secs(age)).unwrap());
        ServerState { role, timeline: 2, lsn: 50, is_settled: true, as_of, asked }
    }

    #[test]
    fn which_states_satisfy_which_requirements() {
        use NotFresh::{NotReplayed, TooOld, Unfit};

        let any = Requirement::ANY;
        let ten_seconds = Requirement::at_most(Duration::from_secs(10));
        let at_least = |timeline, lsn| any.and(Freshness::AtLeast(at(timeline, lsn)));
        let foreign = any.and(Freshness::AtLeast(Position { system: 8, ..at(9, 99) }));
        let primary = any.and(Freshness::Primary);
        let allow_superseded = Requirement { allow_superseded: true, ..any };
        let replica = |age| server(Role::Replica, age);
        let leader = || server(Role::Primary, Some(0));
        let copy = Standing { leads: false, is_on_known_timeline: false };
        assert_eq!(
            at_least(1, 50).met_by(&replica(None), SYSTEM, copy, Instant::now()),
            Err(NotReplayed)
        );
        assert_eq!(at_least(2, 50).met_by(&replica(None), SYSTEM, copy, Instant::now()), Ok(()));
        let table = [
            ("any state will do", any, replica(None), true, Ok(())),
            ("a young replica", ten_seconds, replica(Some(1)), true, Ok(())),
            ("an old replica", ten_seconds, replica(Some(60)), true, Err(TooOld)),
            ("an unknown age", ten_seconds, replica(None), true, Err(TooOld)),
            ("a primary has no age", ten_seconds, server(Role::Primary, None), true, Ok(())),
            ("reached", at_least(2, 50), replica(None), true, Ok(())),
            ("not reached", at_least(2, 51), replica(None), true, Err(NotReplayed)),
            ("an older timeline, reached", at_least(1, 50), replica(None), true, Ok(())),
            (
                "an older timeline, not reached",
                at_least(1, 51),
                replica(None),
                true,
                Err(NotReplayed),
            ),
            ("a newer timeline", at_least(3, 1), replica(None), true, Err(NotReplayed)),
            ("a primary shows all of its timeline", at_least(2, 51), leader(), true, Ok(())),
            ("a primary on an older timeline", at_least(3, 1), leader(), true, Err(NotReplayed)),
            ("a position of another database", foreign, replica(None), true, Ok(())),
            ("the primary wanted, a replica", primary, replica(Some(0)), true, Err(Unfit)),
            ("the primary wanted and there", primary, leader(), true, Ok(())),
            ("a primary that does not lead", any, leader(), false, Err(Unfit)),
            ("one that does not lead, allowed", allow_superseded, leader(), false, Ok(())),
            ("a replica never leads", any, replica(None), false, Ok(())),
        ];
        for (story, requirement, state, leads, expected) in table {
            let standing = Standing { leads, is_on_known_timeline: true };
            let met = requirement.met_by(&state, SYSTEM, standing, state.asked);
            assert_eq!(met, expected, "{story}");
        }
    }

    #[test]
    fn requirements_add_up_until_any_takes_them_back() {
        let both = Requirement::at_most(Duration::from_secs(10))
            .and(Freshness::AtLeast(at(1, 9)))
            .and(Freshness::AtLeast(at(1, 5)))
            .and(Freshness::AtMost(Duration::from_secs(2)));
        assert_eq!(both.at_least, Some(at(1, 9)));
        assert_eq!(both.at_most, Some(Duration::from_secs(2)));
        assert_eq!(both.and(Freshness::Any), Requirement::ANY);
    }
}
