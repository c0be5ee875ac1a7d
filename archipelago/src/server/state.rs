//! The state of a server, derived from its reports and from what is known of the primary.

use std::time::{Duration, Instant};

use super::report::ServerReport;
use crate::region::Role;

/// The state of a server when it was last asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServerState {
    pub(crate) role: Role,
    pub(crate) timeline: u32,
    /// The server shows every commit up to here.
    pub(crate) lsn: u64,
    /// Whether no record behind `lsn` can have been shown.
    pub(crate) is_settled: bool,
    /// The server shows everything that the primary had committed at this moment. None where that
    /// is unknown.
    pub(crate) as_of: Option<Instant>,
    /// When the request for the report was sent.
    pub(crate) asked: Instant,
}

/// How far the primary was, its clock, and a moment at which it had passed neither.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PrimarySample {
    /// Its timeline and LSN. None once another member leads: the clock counts until that is heard.
    pub(super) reached: Option<(u32, u64)>,
    /// In microseconds since 1970.
    pub(super) clock: i64,
    pub(super) at: Instant,
}

impl PrimarySample {
    /// As if the primary had the clock of a replica: for tests.
    pub(super) fn by_clock_of(self, replica: ServerReport) -> Self {
        let since = replica.asked.saturating_duration_since(self.at).as_micros();
        let since = i64::try_from(since).unwrap_or_default();
        Self { clock: replica.clock.saturating_sub(since), ..self }
    }
}

/// By how much clocks may differ that NTP keeps. A commit that seems to lie in the future by less
/// counts as just made.
const CLOCK_TOLERANCE: Duration = Duration::from_millis(100);

/// By how many microseconds a replica's clock may differ from this process's, in place of the
/// primary's. More than a long round trip.
const AGREEMENT: u64 = 1_000_000;

/// The moment, or an earlier one, of the last commit that a replica has replayed: by the clock of the
/// primary, which stamped it, or by the replica's, whichever says that it is older. A clock that is
/// behind, or was set back, makes a commit newer than it is, or has it lie in the future; then the
/// other clock counts. Where the primary was not heard yet, this process's clock must agree with the
/// replica's.
fn moment_of_commit(report: ServerReport, primary: Option<PrimarySample>) -> Option<Instant> {
    let committed = report.committed?;
    let by = |clock: i64, at: Instant| {
        let age = clock.checked_sub(committed)?;
        let distance = Duration::from_micros(age.unsigned_abs());
        let moment = if age < 0 { at.checked_add(distance) } else { at.checked_sub(distance) }?;
        (moment <= report.answered + CLOCK_TOLERANCE).then_some(moment.min(report.asked))
    };
    let by_replica = by(report.clock, report.asked);
    let agrees = report.clock.abs_diff(report.own_clock) <= AGREEMENT;
    match primary {
        Some(primary) => by_replica.into_iter().chain(by(primary.clock, primary.at)).min(),
        None => by_replica.filter(|_| agrees),
    }
}

impl ServerState {
    /// A bound from above on all that the server has shown: its position, or "later than its
    /// position" while a record may be in work. A replica's position moves in whole records, so
    /// one that has passed `lsn` at all has replayed that record.
    pub(crate) fn shown(&self) -> u64 {
        if self.is_settled { self.lsn } else { self.lsn.saturating_add(1) }
    }

    /// The state after the server has said how far it has replayed, and nothing else.
    pub(crate) fn replayed(self, lsn: u64, is_settled: bool) -> Self {
        let is_newest = lsn >= self.lsn;
        Self { lsn: self.lsn.max(lsn), is_settled: is_settled && is_newest, ..self }
    }

    /// The state after a primary was asked at the moment `asked` how far it has inserted, and nothing
    /// else. `newest` is the newest timeline that any server has shown.
    pub(crate) fn inserted(self, lsn: u64, asked: Instant, newest: u32) -> Self {
        let is_superseded = self.timeline > 0 && self.timeline < newest;
        let as_of = self.as_of.max(Some(asked).filter(|_| !is_superseded));
        Self { lsn: self.lsn.max(lsn), as_of, ..self }
    }

    /// Keeps the state that a question has found, unless a later one was answered already.
    pub(crate) fn advance(&mut self, found: Self) {
        if found.asked >= self.asked {
            let as_of = found.as_of.max(self.as_of.filter(|_| found.timeline == self.timeline));
            *self = Self { as_of, ..found };
        }
    }

    /// Derives a server's state from its report.
    ///
    /// `timeline` is the one that the server is on, `newest` the newest that any server has shown,
    /// `before` the last state seen on the same connection.
    ///
    /// A replica is as fresh as the moment of the last commit that it has replayed. On an idle
    /// primary that commit ages although nothing is missing. So a replica that has replayed what
    /// the primary had at a sampled moment is as fresh as that moment. On an older timeline than
    /// the newest, what a replica replays says nothing of the present.
    pub(super) fn interpret(
        report: ServerReport,
        timeline: u32,
        before: Option<Self>,
        newest: u32,
        sample: Option<PrimarySample>,
    ) -> Self {
        let role = if report.is_replica { Role::Replica } else { Role::Primary };
        // What a replica had reached on a former timeline may be of a primary that was superseded.
        let before_here = before.filter(|before| before.timeline == timeline);
        let as_of_before = before_here.and_then(|before| before.as_of);
        // 0: the login role may not see the timeline.
        let as_of = if timeline > 0 && timeline < newest {
            as_of_before
        } else if role == Role::Primary {
            Some(report.asked)
        } else {
            let by_commit = moment_of_commit(report, sample);
            let has_reached = |sample: &PrimarySample| {
                sample.reached.is_some_and(|(on, lsn)| timeline == on && report.lsn >= lsn)
            };
            let by_sample = sample.filter(has_reached).map(|sample| sample.at);
            as_of_before.max(by_commit).max(by_sample)
        };
        let lsn = before_here.map_or(report.lsn, |before| before.lsn.max(report.lsn));
        let is_settled = report.is_settled && lsn == report.lsn;
        Self { role, timeline, lsn, is_settled, as_of, asked: report.asked }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    /// The moment of each report, a minute after `start`.
    fn minute(start: Instant) -> Instant {
        start + seconds(60)
    }

    /// The replica's clock shows 0 then; its last commit has an age in seconds by that.
    fn report(start: Instant, is_replica: bool, lsn: u64, age: Option<i64>) -> ServerReport {
        let report = ServerReport::for_test(is_replica, 2, lsn, minute(start));
        ServerReport { committed: age.map(|age| -age * 1_000_000), ..report }
    }

    #[test]
    fn a_primary_is_as_fresh_as_the_moment_it_was_asked() {
        let start = Instant::now();
        let state = ServerState::interpret(report(start, false, 5, None), 2, None, 2, None);
        assert_eq!((state.role, state.as_of), (Role::Primary, Some(minute(start))));
    }

    #[test]
    fn a_replica_is_as_fresh_as_its_last_commit_or_the_sample_it_reached() {
        let start = Instant::now();
        // The primary was heard in second 50, when its clock agreed with the replica's.
        let sample = |timeline, lsn| {
            let (clock, at) = (-10_000_000, start + seconds(50));
            Some(PrimarySample { reached: Some((timeline, lsn)), clock, at })
        };
        // The age of the last commit, the sample, and the second that the replica is as fresh as.
        let table = [
            (Some(4), None, Some(56)),
            (None, None, None),
            (Some(30), sample(2, 5), Some(50)),
            (Some(4), sample(2, 5), Some(56)),
            (Some(30), sample(2, 6), Some(30)),
            (Some(30), sample(1, 5), Some(30)),
            (None, sample(2, 4), Some(50)),
        ];
        for (age, sample, second) in table {
            let state = ServerState::interpret(report(start, true, 5, age), 2, None, 2, sample);
            assert_eq!(state.as_of, second.map(|second| start + seconds(second)), "{age:?}");
        }
    }

    #[test]
    fn of_two_clocks_the_one_counts_that_makes_a_commit_older() {
        let start = Instant::now();
        // The age of the last commit by the replica's clock, what the primary's clock showed in
        // second 50 where it was heard, and the second in which the commit was made.
        let table = [
            ("the clocks agree", 4, Some(-10), Some(56)),
            ("the replica's is 20 s behind", 4, Some(10), Some(36)),
            ("the replica's is 20 s behind, so that the commit seems new", -15, Some(10), Some(55)),
            ("the replica's is 20 s ahead", 24, Some(-10), Some(36)),
            ("the primary's was set back by 20 s", 4, Some(-30), Some(56)),
            ("both are behind", -1, Some(-30), None),
            ("the primary was not heard yet", 4, None, Some(56)),
            ("it was not heard yet, and the commit lies in the future", -1, None, None),
        ];
        let own_clock = 20_000_000;
        let is_behind = ServerReport { own_clock, ..report(start, true, 5, Some(4)) };
        let state = ServerState::interpret(is_behind, 2, None, 2, None);
        assert_eq!(state.as_of, None, "it was not heard yet, and the clocks here differ");
        for (story, age, clock, second) in table {
            let sample = clock.map(|clock: i64| PrimarySample {
                reached: None,
                clock: clock * 1_000_000,
                at: start + seconds(50),
            });
            let state =
                ServerState::interpret(report(start, true, 5, Some(age)), 2, None, 2, sample);
            assert_eq!(state.as_of, second.map(|second| start + seconds(second)), "{story}");
        }
    }

    #[test]
    fn a_primary_that_tells_its_position_is_fresh_unless_it_is_superseded() {
        let start = Instant::now();
        let before = ServerState::interpret(report(start, false, 5, None), 2, None, 2, None);
        let asked = minute(start) + seconds(1);
        // The newest timeline, what the primary has inserted, its position and the second that it
        // is as fresh as.
        for (newest, lsn, position, second) in [(2, 7, 7, 61), (2, 4, 5, 61), (3, 7, 7, 60)] {
            let state = before.inserted(lsn, asked, newest);
            let as_of = Some(start + seconds(second));
            assert_eq!((state.lsn, state.as_of), (position, as_of));
        }
    }

    /// Tasks may read the answers of one connection in any order.
    #[test]
    fn a_state_advances_with_the_later_question() {
        let start = Instant::now();
        let state = |second, lsn, as_of: Option<u64>| ServerState {
            role: Role::Replica,
            timeline: 2,
            lsn,
            is_settled: true,
            as_of: as_of.map(|second| start + seconds(second)),
            asked: start + seconds(second),
        };
        let mut kept = state(3, 5, Some(2));
        kept.advance(state(2, 4, Some(1)));
        assert_eq!(kept, state(3, 5, Some(2)));
        kept.advance(state(4, 6, None));
        assert_eq!(kept, state(4, 6, Some(2)));
        kept.advance(ServerState { timeline: 3, ..state(5, 4, None) });
        assert_eq!((kept.timeline, kept.as_of), (3, None));
    }

    #[test]
    fn what_was_reached_on_a_former_timeline_tells_no_age() {
        let start = Instant::now();
        let report = report(start, true, 5, None);
        let before = ServerState::interpret(report, 1, None, 1, None);
        let before = ServerState { as_of: Some(start), ..before };
        assert_eq!(ServerState::interpret(report, 2, Some(before), 2, None).as_of, None);
    }

    #[test]
    fn on_an_older_timeline_freshness_stands_still() {
        let start = Instant::now();
        let before = ServerState {
            role: Role::Replica,
            timeline: 2,
            lsn: 4,
            is_settled: true,
            as_of: Some(start + seconds(20)),
            asked: start,
        };
        let replica = report(start, true, 5, Some(1));
        let state = ServerState::interpret(replica, 2, Some(before), 3, None);
        assert_eq!((state.as_of, state.lsn), (before.as_of, 5));
        let primary = report(start, false, 5, None);
        assert_eq!(ServerState::interpret(primary, 2, None, 3, None).as_of, None);
    }

    #[test]
    fn a_position_moves_back_only_with_the_timeline() {
        let start = Instant::now();
        let before = |timeline| ServerState {
            role: Role::Replica,
            timeline,
            lsn: 9,
            is_settled: true,
            as_of: None,
            asked: start,
        };
        let lsn = |timeline| {
            let replica = report(start, true, 5, None);
            ServerState::interpret(replica, 2, Some(before(timeline)), 2, None).lsn
        };
        assert_eq!((lsn(2), lsn(1)), (9, 5));
    }

    #[test]
    fn what_was_shown_is_bounded_from_above() {
        let start = Instant::now();
        let shown = |is_settled, lsn| {
            let report = ServerReport { is_settled, ..report(start, true, lsn, None) };
            let before = ServerState::interpret(report, 2, None, 2, None);
            let older = ServerReport { is_settled: true, lsn: 4, ..report };
            let after = ServerState::interpret(older, 2, Some(before), 2, None);
            (before.shown(), after.shown())
        };
        assert_eq!(shown(true, 5), (5, 6), "an answer that came late settles nothing");
        assert_eq!(shown(false, 5), (6, 6));
    }
}
