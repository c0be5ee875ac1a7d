//! The health of one database: what the monitor and the queries have found.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use super::report::{ServerIdentity, ServerReport};
use super::state::ServerState;
use super::timelines::Timelines;
use crate::error::DownReason;
use crate::region::Role;

/// How long an answer may take before the monitor is asked to check the server.
const SUSPICIOUS: Duration = Duration::from_millis(250);

/// The health of a region's database, as this instance has found it.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// Whether the database answers and serves reads. None where this instance does not watch it.
    pub up: Option<bool>,
    /// Why it serves no reads. Its text may name a host: for operators, not for visitors.
    pub down_reason: Option<DownReason>,
    /// Since when it has served none.
    pub down_since: Option<Instant>,
    /// The role that it last reported.
    pub role: Option<Role>,
    /// Its timeline: 1 at first, and a higher number after each promotion.
    pub timeline: Option<u32>,
    /// How far it is behind the primary, at most: the time since the moment whose commits it showed
    /// when it last answered. Grows while the server does not answer. None where it is unknown.
    pub lag: Option<Duration>,
    /// How long its last answer took: nearly the round trip.
    pub round_trip: Option<Duration>,
}

/// What is known of one region's database. Its pools and the monitor share it.
pub(crate) struct HealthRecord {
    region: &'static str,
    pub(crate) timelines: Arc<Timelines>,
    is_watched: AtomicBool,
    status: watch::Sender<Status>,
    /// When the server last answered any request, in milliseconds since `created`.
    heard: AtomicU64,
    created: Instant,
    last_check: ArcSwapOption<Check>,
    /// The start of the server that was asked last, and the newest timeline that it has reported.
    started: AtomicI64,
    timeline: AtomicU32,
}

#[derive(Default)]
struct Status {
    condition: Condition,
    /// How many checks the server has not answered. Wraps around.
    silent_checks: u32,
}

/// Whether reads may be sent to a database.
#[derive(Default)]
enum Condition {
    /// They may: no check has failed since the last success.
    #[default]
    Up,
    /// They may, and the monitor is asked to check the server at once.
    Suspect,
    /// They may not, until a check succeeds.
    Down { since: Instant, reason: DownReason },
}

/// A check that the server answered.
struct Check {
    state: ServerState,
    /// The lag of a replica at that moment.
    lag: Option<Duration>,
    round_trip: Duration,
}

impl HealthRecord {
    pub(crate) fn new(region: &'static str, timelines: Arc<Timelines>) -> Self {
        Self {
            region,
            timelines,
            is_watched: AtomicBool::new(false),
            status: watch::Sender::default(),
            heard: AtomicU64::new(0),
            created: Instant::now(),
            last_check: ArcSwapOption::empty(),
            started: AtomicI64::new(0),
            timeline: AtomicU32::new(0),
        }
    }

    /// Whether a read may be sent there.
    pub(crate) fn is_up(&self) -> bool {
        !matches!(self.status.borrow().condition, Condition::Down { .. })
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
    pub(crate) fn snapshot(&self) -> Health {
        let check = self.last_check.load_full();
        let state = check.as_ref().map(|check| check.state);
        let (down_since, down_reason) = match &self.status.borrow().condition {
            Condition::Up | Condition::Suspect => (None, None),
            Condition::Down { since, reason } => (Some(*since), Some(reason.clone())),
        };
        Health {
            up: self.is_watched().then_some(down_reason.is_none()),
            down_reason,
            down_since,
            role: state.map(|state| state.role),
            timeline: state.map(|state| state.timeline),
            lag: state.and_then(|state| state.as_of).map(|as_of| as_of.elapsed()),
            round_trip: check.as_ref().map(|check| check.round_trip),
        }
    }

    /// Records an answer to the monitor.
    pub(crate) fn record_check(&self, state: ServerState, round_trip: Duration) {
        let as_of = state.as_of.filter(|_| state.role == Role::Replica);
        let lag = as_of.map(|as_of| as_of.elapsed());
        self.last_check.store(Some(Arc::new(Check { state, lag, round_trip })));
        self.mark_up();
    }

    /// Records a write that the database has taken. It is up, whatever the monitor found before:
    /// the visitor's next read may need it.
    pub(crate) fn record_write(&self) {
        if !self.is_up() {
            self.mark_up();
        }
    }

    fn mark_up(&self) {
        self.change_if(|condition| {
            matches!(condition, Condition::Down { .. }).then_some(Condition::Up)
        });
    }

    /// Records a failed check: reads go elsewhere until the monitor finds the database well again.
    pub(crate) fn mark_down(&self, reason: DownReason) {
        self.status.send_modify(|Status { condition, silent_checks }| {
            let (since, is_known) = match condition {
                Condition::Down { since, reason: known } => (*since, *known == reason),
                Condition::Up | Condition::Suspect => (Instant::now(), false),
            };
            if !is_known {
                tracing::warn!(
                    region = self.region,
                    error = %reason,
                    "reads go elsewhere until this database can serve again"
                );
            }
            *silent_checks = silent_checks.wrapping_add(u32::from(reason.is_silence()));
            *condition = Condition::Down { since, reason };
        });
    }

    /// Why the server gives no answer, if the last check found it silent.
    pub(crate) fn silence(&self) -> Option<DownReason> {
        match &self.status.borrow().condition {
            Condition::Down { reason, .. } if reason.is_silence() => Some(reason.clone()),
            _ => None,
        }
    }

    /// Records that a server found silent has answered an election: the monitor checks it at once.
    pub(crate) fn mark_recovered(&self) {
        self.change_if(|condition| {
            matches!(condition, Condition::Down { .. }).then_some(Condition::Suspect)
        });
    }

    /// Resolves once the server is no longer down.
    pub(crate) async fn recovered(&self) {
        self.until(|condition| !matches!(condition, Condition::Down { .. })).await;
    }

    /// Asks the monitor to check the server now: an answer is late, or a connection broke. Does not
    /// shorten the pauses between the checks of a server that is down.
    pub(crate) fn request_check(&self) {
        self.change_if(|condition| {
            matches!(condition, Condition::Up).then_some(Condition::Suspect)
        });
    }

    /// Resolves once a check is requested.
    pub(crate) async fn check_requested(&self) {
        self.until(|condition| matches!(condition, Condition::Suspect)).await;
    }

    /// Marks the start of a check. It answers the requests so far; a later request asks for
    /// another.
    pub(crate) fn begin_check(&self) {
        self.change_if(|condition| {
            matches!(condition, Condition::Suspect).then_some(Condition::Up)
        });
    }

    fn change_if(&self, next: impl FnOnce(&Condition) -> Option<Condition>) {
        self.status.send_if_modified(|status| match next(&status.condition) {
            Some(condition) => {
                status.condition = condition;
                true
            }
            None => false,
        });
    }

    /// Resolves once the condition is as wanted. The sender lives as long as `self`.
    async fn until(&self, is_wanted: impl Fn(&Condition) -> bool) {
        let _ = self.status.subscribe().wait_for(|status| is_wanted(&status.condition)).await;
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
        let is_silent_again = |status: &Status| status.silent_checks != known;
        let _ = self.status.subscribe().wait_for(is_silent_again).await;
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
        let timeline = self.timeline_of(identity, report);
        self.timelines.interpret(identity.system, report, timeline, before)
    }

    /// Whether the server has answered a request that was sent then or later.
    pub(crate) fn was_heard_since(&self, then: Instant) -> bool {
        self.heard.load(Ordering::Relaxed) >= self.milliseconds(then)
    }

    fn milliseconds(&self, then: Instant) -> u64 {
        u64::try_from(then.saturating_duration_since(self.created).as_millis()).unwrap_or(u64::MAX)
    }

    /// The lag at the monitor's last check, if it was more than `limit`.
    pub(crate) fn lag_over(&self, limit: Duration) -> Option<Duration> {
        self.last_check.load().as_ref().and_then(|check| check.lag).filter(|lag| *lag > limit)
    }

    /// The timeline of a server. While it runs a server never returns to an older timeline, even if
    /// a report of a replica names one.
    fn timeline_of(&self, identity: ServerIdentity, report: ServerReport) -> u32 {
        if self.started.swap(identity.started, Ordering::Relaxed) != identity.started {
            self.timeline.store(report.timeline, Ordering::Relaxed);
        }
        let known = self.timeline.fetch_max(report.timeline, Ordering::Relaxed);
        if report.is_replica { known.max(report.timeline) } else { report.timeline }
    }
}
