//! The health of one database: what the monitor and the queries have found.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::freshness::{NotFresh, Requirement};
use super::journal::Event;
use super::leadership::Leadership;
use super::report::{ServerIdentity, ServerReport};
use super::state::ServerState;
use crate::error::{DownReason, SessionRecord};
use crate::region::Role;
use crate::settings::Safeguard;

/// How long an answer may take before the monitor is asked to check the server.
const SUSPICIOUS: Duration = Duration::from_millis(250);

/// How long what the primary has said counts as what it has now: it is asked each second.
const HEARD: Duration = Duration::from_secs(3);

/// Returned by a change that need not wake a waiting task.
const WAKES_NO_TASK: bool = false;

/// The health of a region's database, as this instance has found it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Health {
    /// Whether the database answers and serves reads. None before it was asked once.
    pub up: Option<bool>,
    /// Why it serves no reads. Its text may name a host: for operators, not for visitors.
    pub down_reason: Option<DownReason>,
    /// Since when it has served none.
    pub down_since: Option<Instant>,
    /// How often it was found in a conflict ([`DownReason::is_conflict`]) since the process began.
    pub conflicts: u64,
    /// The role that it last reported.
    pub role: Option<Role>,
    /// Its timeline: 1 at first, and a higher number after each promotion.
    pub timeline: Option<u32>,
    /// How far it is behind the primary, at most: the time since the moment whose commits it showed
    /// when it last answered. Grows while the server does not answer. None where it is unknown.
    pub lag: Option<Duration>,
    /// Up to which byte of the log it shows every commit, as PostgreSQL counts them: what a replica
    /// has replayed, and what a primary has inserted, when it last answered.
    pub lsn: Option<u64>,
    /// How many bytes of the log the primary had then that a replica has not replayed. None on
    /// another timeline than the primary's, and where the primary was not heard.
    pub lag_bytes: Option<u64>,
    /// How long its last answer took: nearly the round trip.
    pub round_trip: Option<Duration>,
}

/// What is known of one region's database. Its pools and the monitor share it.
pub(crate) struct HealthRecord {
    region: &'static str,
    pub(crate) leadership: Arc<Leadership>,
    is_watched: AtomicBool,
    /// Whether `status` has no [`Down`].
    is_up: AtomicBool,
    status: watch::Sender<Status>,
    /// When the server last answered any request, in milliseconds since `created`.
    heard: AtomicU64,
    created: Instant,
    last_check: ArcSwapOption<Check>,
    conflicts: AtomicU64,
    /// The start of the server that was asked last, and the newest timeline that it has reported.
    started: AtomicI64,
    timeline: AtomicU32,
    /// Connections on which the server still works, and whose users have left.
    abandoned: Mutex<Vec<Weak<SessionRecord>>>,
}

/// What the monitor has found, and what it is asked for.
#[derive(Default)]
struct Status {
    /// Why, and since when, the database serves no reads. None while it is up.
    down: Option<Down>,
    /// How many checks the server has not answered. Wraps around.
    silent_checks: u32,
    /// The server is suspect: an answer is late, or a connection broke.
    is_suspect: bool,
    /// The reason that the journal has for it now, in one word.
    noted: Option<&'static str>,
}

struct Down {
    since: Instant,
    reason: DownReason,
}

/// A check that the server answered.
struct Check {
    identity: ServerIdentity,
    state: ServerState,
    /// The lag of a replica at that moment.
    lag: Option<Duration>,
    /// How much of the log the primary had more.
    lag_bytes: Option<u64>,
    round_trip: Duration,
    /// When the answer had come.
    answered: Instant,
}

impl HealthRecord {
    pub(crate) fn new(region: &'static str, leadership: Arc<Leadership>) -> Self {
        Self {
            region,
            leadership,
            is_watched: AtomicBool::new(false),
            // Up until a check fails.
            is_up: AtomicBool::new(true),
            status: watch::Sender::default(),
            heard: AtomicU64::new(0),
            created: Instant::now(),
            last_check: ArcSwapOption::empty(),
            conflicts: AtomicU64::new(0),
            started: AtomicI64::new(0),
            timeline: AtomicU32::new(0),
            abandoned: Mutex::default(),
        }
    }

    #[cfg(test)]
    pub(crate) fn region(&self) -> &'static str {
        self.region
    }

    /// Whether a read may be sent there. Takes no lock.
    pub(crate) fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Relaxed)
    }

    /// Whether the monitor checks it.
    pub(crate) fn is_watched(&self) -> bool {
        self.is_watched.load(Ordering::Relaxed)
    }

    /// Marks it as watched. Returns whether it was not before.
    pub(crate) fn mark_watched(&self) -> bool {
        !self.is_watched.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.last_check.load().as_ref().map(|check| check.round_trip)
    }

    /// Everything that is known, for status pages.
    pub(crate) fn health(&self) -> Health {
        let check = self.last_check.load_full();
        let state = check.as_ref().map(|check| check.state);
        let status = self.status.borrow();
        let down = status.down.as_ref();
        Health {
            up: (check.is_some() || down.is_some()).then_some(down.is_none()),
            down_reason: down.map(|down| down.reason.clone()),
            down_since: down.map(|down| down.since),
            conflicts: self.conflicts.load(Ordering::Relaxed),
            role: state.map(|state| state.role),
            timeline: state.map(|state| state.timeline),
            lag: state.and_then(|state| state.as_of).map(|as_of| as_of.elapsed()),
            lsn: state.map(|state| state.lsn),
            lag_bytes: check.as_ref().and_then(|check| check.lag_bytes),
            round_trip: check.as_ref().map(|check| check.round_trip),
        }
    }

    /// Records an answer to the monitor, which came at `now`, whether or not the server may serve.
    pub(crate) fn record_state(
        &self,
        identity: ServerIdentity,
        state: ServerState,
        round_trip: Duration,
        now: Instant,
    ) {
        let as_of = state.as_of.filter(|_| state.role == Role::Replica);
        let lag = as_of.map(|as_of| now.saturating_duration_since(as_of));
        // What a primary had reached that is not heard any more says nothing of now.
        let sample = self.leadership.last_sample();
        let sample = sample.filter(|it| now.saturating_duration_since(it.at) < HEARD);
        let lag_bytes = sample
            .and_then(|sample| sample.reached)
            .filter(|(timeline, _)| *timeline == state.timeline && state.role == Role::Replica)
            .map(|(_, lsn)| lsn.saturating_sub(state.lsn));
        let check = Check { identity, state, lag, lag_bytes, round_trip, answered: now };
        self.last_check.store(Some(Arc::new(check)));
    }

    /// Records a write that the database has taken. It is up, whatever the monitor found before:
    /// the visitor's next read may need it. The journal waits for the monitor, which may find it
    /// unfit for reads again.
    pub(crate) fn record_write(&self) {
        if !self.is_up() {
            self.change(|status| {
                status.down = None;
                WAKES_NO_TASK
            });
            self.is_up.store(true, Ordering::Relaxed);
        }
    }

    /// Records that it may serve.
    pub(crate) fn mark_up(&self) {
        self.change(|status| {
            status.down = None;
            if status.noted.take().is_some() {
                self.note(Event::Up { region: self.region });
            }
            WAKES_NO_TASK
        });
        self.is_up.store(true, Ordering::Relaxed);
    }

    /// Records a failed check: reads go elsewhere until the monitor finds the database well again.
    pub(crate) fn mark_down(&self, reason: DownReason) {
        let region = self.region;
        self.is_up.store(false, Ordering::Relaxed);
        self.status.send_modify(|status| {
            status.silent_checks = status.silent_checks.wrapping_add(reason.is_silence().into());
            let known = status.down.as_ref().map(|down| &down.reason);
            // A silent server is silent for another time at each check.
            let is_known = |known: &DownReason| {
                *known == reason || known.is_silence() && known.label() == reason.label()
            };
            if !known.is_some_and(is_known) {
                tracing::warn!(
                    region,
                    error = %reason,
                    "reads go elsewhere until this database can serve again"
                );
            }
            if status.noted.replace(reason.label()) != Some(reason.label()) {
                self.conflicts.fetch_add(reason.is_conflict().into(), Ordering::Relaxed);
                self.note(Event::Down { region, reason: reason.clone() });
            }
            let since = status.down.as_ref().map_or_else(Instant::now, |down| down.since);
            status.down = Some(Down { since, reason });
        });
    }

    fn note(&self, event: Event) {
        self.leadership.journal.note(event);
    }

    /// Why reads pass it over, if they do.
    pub(crate) fn down_reason(&self) -> Option<DownReason> {
        if self.is_up() {
            return None;
        }
        self.status.borrow().down.as_ref().map(|down| down.reason.clone())
    }

    /// Why the server gives no answer, if the last check found it silent.
    pub(crate) fn silence(&self) -> Option<DownReason> {
        let status = self.status.borrow();
        status.down.as_ref().map(|down| &down.reason).filter(|reason| reason.is_silence()).cloned()
    }

    /// Asks the monitor to check the server soon: an answer is late, or a connection broke. Does
    /// not shorten the pauses between the checks of a server that is down.
    pub(crate) fn request_check(&self) {
        self.change(|status| !std::mem::replace(&mut status.is_suspect, true));
    }

    /// Records a connection without a user on which the server still works.
    pub(crate) fn record_abandoned(&self, session: &Arc<SessionRecord>) {
        let mut abandoned = self.abandoned.lock();
        abandoned.retain(|session| session.strong_count() > 0);
        abandoned.push(Arc::downgrade(session));
    }

    /// The connections without a user on which the server still works.
    pub(crate) fn abandoned(&self) -> Vec<Arc<SessionRecord>> {
        self.abandoned.lock().iter().filter_map(Weak::upgrade).collect()
    }

    /// Resolves once a check is requested.
    pub(crate) async fn check_requested(&self) {
        self.until(|status| status.is_suspect).await;
    }

    /// Marks the start of a check. It settles all earlier requests.
    pub(crate) fn begin_check(&self) {
        self.change(|status| {
            status.is_suspect = false;
            WAKES_NO_TASK
        });
    }

    /// Changes the status. `change` tells whether a task may wait for that.
    fn change(&self, change: impl FnOnce(&mut Status) -> bool) {
        self.status.send_if_modified(change);
    }

    /// Resolves once the status is as wanted. The sender lives as long as `self`.
    async fn until(&self, is_wanted: impl Fn(&Status) -> bool) {
        let _ = self.status.subscribe().wait_for(is_wanted).await;
    }

    /// Resolves with the elapsed time once the monitor declares the server silent. The monitor
    /// checks it when this future has waited for longer than an answer takes.
    pub(crate) fn until_silent(&self) -> impl Future<Output = Duration> + Send + use<'_> {
        let (start, known) = (Instant::now(), self.status.borrow().silent_checks);
        self.until_another_silent_check(start, known)
    }

    async fn until_another_silent_check(&self, start: Instant, known: u32) -> Duration {
        tokio::time::sleep(SUSPICIOUS).await;
        // On a long line an answer takes longer.
        tokio::time::sleep(self.round_trip().unwrap_or_default() * 2).await;
        self.request_check();
        self.until(|status| status.silent_checks != known).await;
        // For the text of an error.
        Duration::from_secs_f64((start.elapsed().as_secs_f64() * 1000.0).round() / 1000.0)
    }

    /// Records a report and derives the server's state from it, after `before` on the same
    /// connection.
    pub(crate) fn observe(
        &self,
        identity: ServerIdentity,
        report: ServerReport,
        before: Option<ServerState>,
    ) -> ServerState {
        self.heard.fetch_max(self.milliseconds(report.asked), Ordering::Relaxed);
        let leadership = &self.leadership;
        let timeline = self.observe_timeline(identity, report);
        leadership.observe(identity, timeline);
        let is_settled = report.is_settled || !leadership.safeguards.has(Safeguard::Bound);
        let mut report = ServerReport { is_settled, ..report };
        let mut sample = leadership.last_sample();
        if !leadership.safeguards.has(Safeguard::Clock) {
            report.committed = report.committed.map(|committed| committed.min(report.clock));
            report.own_clock = report.clock;
            sample = sample.map(|sample| sample.by_clock_of(report));
        }
        let newest = leadership.view().newest;
        let state = ServerState::interpret(report, timeline, before, newest, sample);
        let as_of = state.as_of.max(self.as_of_by_monitor(identity, state));
        ServerState { as_of, ..state }
    }

    /// The moment whose commits a server in this state shows by the monitor's last check: the same
    /// server, on the same timeline, was asked later and has replayed no less. A connection that was
    /// idle for long learns it here.
    fn as_of_by_monitor(&self, identity: ServerIdentity, state: ServerState) -> Option<Instant> {
        let check = self.last_check.load();
        let is_before = |check: &&Arc<Check>| {
            let (before, answered) = (&check.state, check.answered);
            check.identity == identity
                && answered <= state.asked
                && before.timeline == state.timeline
                && before.lsn <= state.lsn
        };
        check.as_ref().filter(is_before)?.state.as_of
    }

    /// Whether a server in this state satisfies the requirement of a read at the moment `now`.
    pub(crate) fn meets(
        &self,
        requirement: Requirement,
        identity: ServerIdentity,
        state: &ServerState,
        now: Instant,
    ) -> Result<(), NotFresh> {
        if self.leadership.is_foreign(identity.system) {
            return Err(NotFresh::Unfit);
        }
        let standing = self.leadership.standing(self.region, identity, state.timeline);
        requirement.met_by(state, identity.system, standing, now)
    }

    /// Whether the server has answered a request that was sent then or later.
    pub(crate) fn was_heard_since(&self, then: Instant) -> bool {
        self.heard.load(Ordering::Relaxed) >= self.milliseconds(then)
    }

    fn milliseconds(&self, then: Instant) -> u64 {
        u64::try_from(then.saturating_duration_since(self.created).as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether it lagged by more than `limit` at the monitor's last check.
    pub(crate) fn lagged_over(&self, limit: Duration) -> bool {
        let check = self.last_check.load();
        check.as_ref().and_then(|check| check.lag).is_some_and(|lag| lag > limit)
    }

    /// Whether its lag has grown over `limit` since the monitor's last check. It grows where no leader
    /// answered any more at that check: `lost_since` tells since when.
    pub(crate) fn has_grown_over(
        &self,
        limit: Duration,
        now: Instant,
        lost_since: impl FnOnce() -> Option<Instant>,
    ) -> bool {
        let check = self.last_check.load();
        let Some(Check { state, lag: Some(_), .. }) = check.as_deref() else { return false };
        let age = state.as_of.map(|as_of| now.saturating_duration_since(as_of));
        age.is_some_and(|age| age > limit) && lost_since().is_some_and(|since| state.asked >= since)
    }

    /// The timeline of a server. While it runs a server never returns to an older timeline, even if
    /// a report of a replica names one.
    fn observe_timeline(&self, identity: ServerIdentity, report: ServerReport) -> u32 {
        if !self.leadership.safeguards.has(Safeguard::Timeline) {
            return 0;
        }
        if self.started.swap(identity.started, Ordering::Relaxed) != identity.started {
            self.timeline.store(report.timeline, Ordering::Relaxed);
        }
        let known = self.timeline.fetch_max(report.timeline, Ordering::Relaxed);
        if report.is_replica { known.max(report.timeline) } else { report.timeline }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::server::LogLayout;
    use crate::settings::Safeguards;

    fn record() -> HealthRecord {
        HealthRecord::new("ord", Arc::new(Leadership::new(Safeguards::default())))
    }

    fn silent() -> DownReason {
        DownReason::Silent { waited: Duration::from_secs(1) }
    }

    fn identity(started: i64) -> ServerIdentity {
        ServerIdentity { system: 7, started, sees_timelines: true, layout: LogLayout::default() }
    }

    fn is_ready(future: impl Future) -> bool {
        std::pin::pin!(future).now_or_never().is_some()
    }

    #[test]
    fn a_request_stays_until_the_next_check_begins() {
        let health = record();
        assert!(!is_ready(health.check_requested()));
        health.request_check();
        health.request_check();
        assert!(is_ready(health.check_requested()));
        health.begin_check();
        assert!(!is_ready(health.check_requested()));
    }

    #[test]
    fn the_lag_grows_once_no_leader_answers() {
        let (health, asked) = (record(), Instant::now());
        let seconds = Duration::from_secs;
        let as_of = asked.checked_sub(seconds(1));
        let identity = identity(1);
        let state =
            |role| ServerState { role, timeline: 1, lsn: 1, is_settled: true, as_of, asked };
        let lags = |limit, later, lost| {
            let (limit, now) = (seconds(limit), asked + later);
            health.lagged_over(limit) || health.has_grown_over(limit, now, || lost)
        };
        let (lost, lost_later) = (Some(asked), Some(asked + seconds(1)));
        assert!(!lags(10, seconds(60), lost), "it was never asked");
        health.record_state(identity, state(Role::Replica), Duration::ZERO, asked);
        assert!(!lags(10, seconds(9), lost) && lags(10, seconds(10), lost));
        assert!(!lags(10, seconds(60), None), "it may have caught up since");
        assert!(!lags(10, seconds(60), lost_later), "it was asked before the leader was lost");
        health.record_state(identity, state(Role::Replica), Duration::ZERO, asked + seconds(11));
        assert!(lags(10, seconds(11), None));
        health.record_state(identity, state(Role::Primary), Duration::ZERO, asked + seconds(11));
        assert!(!lags(10, seconds(60), lost), "a primary has no lag");
    }

    #[test]
    fn each_connection_knows_what_the_monitor_has_found_of_its_server() {
        let asked = Instant::now();
        let as_of = asked.checked_sub(Duration::from_secs(1));
        let state = ServerState {
            role: Role::Replica,
            timeline: 2,
            lsn: 5,
            is_settled: true,
            as_of,
            asked,
        };
        // The server's start, timeline and position, the second in which it was asked, and what is
        // known then. The monitor's answer came in second 2. No commit of its log tells an age.
        let table = [
            ("the same server", 1, 2, 5, 3, as_of),
            ("it has replayed more", 1, 2, 6, 3, as_of),
            ("it has gone back", 1, 2, 4, 3, None),
            ("it was asked before that answer", 1, 2, 5, 1, None),
            ("it was started again", 2, 2, 5, 3, None),
            ("it follows another timeline", 1, 3, 5, 3, None),
        ];
        for (story, started, timeline, lsn, then, expected) in table {
            let (health, seconds) = (record(), Duration::from_secs);
            health.record_state(identity(1), state, Duration::ZERO, asked + seconds(2));
            let report = ServerReport::for_test(true, timeline, lsn, asked + seconds(then));
            let state = health.observe(identity(started), report, None);
            assert_eq!(state.as_of, expected, "{story}");
        }
    }

    #[test]
    fn a_write_marks_the_server_up() {
        let health = record();
        health.mark_down(DownReason::NotPrimary);
        assert!(!health.is_up() && health.silence().is_none());
        health.record_write();
        assert!(health.is_up() && health.health().down_reason.is_none());
    }

    #[test]
    fn the_journal_has_each_kind_of_reason_once() {
        let health = record();
        let unreachable = |detail: &str| DownReason::Unreachable { detail: detail.to_owned() };
        health.mark_up();
        for waited in [1, 3] {
            health.mark_down(DownReason::Silent { waited: Duration::from_secs(waited) });
            // A write says nothing of reads.
            health.record_write();
        }
        health.mark_down(unreachable("one"));
        health.mark_down(unreachable("another"));
        health.mark_up();
        health.mark_up();
        let events: Vec<_> =
            health.leadership.journal.changes().into_iter().map(|change| change.event).collect();
        let down = |reason| Event::Down { region: "ord", reason };
        let expected = [down(silent()), down(unreachable("one")), Event::Up { region: "ord" }];
        assert_eq!(events, expected);
    }

    #[test]
    fn a_server_stays_down_since_its_first_failed_check() {
        let health = record();
        health.mark_down(silent());
        let since = health.health().down_since;
        health.mark_down(DownReason::ForeignDatabase);
        assert_eq!(health.health().down_since, since);
        assert_eq!(health.health().down_reason, Some(DownReason::ForeignDatabase));
    }
}
