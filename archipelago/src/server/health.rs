//! How a region's database is: what the monitor and the queries have found, to be read without a lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, watch};

use super::lineage::Lineage;
use crate::Role;
use crate::connect::ConnectError;
use crate::state::{Said, Server, State};

/// How long an answer may take before the monitor is asked to look whether the server still answers at all.
const SUSPICIOUS: Duration = Duration::from_millis(250);

/// How a region's database is, as this instance has found it.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// Whether it answers, and serves reads. None where this instance does not watch it.
    pub up: Option<bool>,
    /// Why it serves no reads. May name a host: for operators, not for visitors.
    pub why_down: Option<String>,
    /// Since when it has served none.
    pub down_since: Option<Instant>,
    /// What it said that it is when it last answered.
    pub role: Option<Role>,
    /// Its timeline: 1, and more after each promotion.
    pub timeline: Option<u32>,
    /// How far it is behind the primary, at the most: the time since the moment whose commits it showed when it last answered. It
    /// grows while the server does not answer. None where nobody can tell.
    pub lag: Option<Duration>,
    /// How long it took to answer the last time: the round trip, nearly.
    pub round_trip: Option<Duration>,
}

/// What is known of one region's database. Its pools and the monitor share it.
pub(crate) struct HealthRecord {
    region: &'static str,
    pub(crate) lineage: Arc<Lineage>,
    up: AtomicBool,
    /// How often the monitor has found that nobody gets an answer.
    silences: watch::Sender<u32>,
    watched: AtomicBool,
    wake: Notify,
    back: Notify,
    /// When it has last answered anybody, in milliseconds since `begun`.
    heard: AtomicU64,
    begun: Instant,
    look: ArcSwapOption<Look>,
    failure: ArcSwapOption<Failure>,
    /// Which server has been asked last, by its start, and the timeline that it was on for certain.
    started: AtomicI64,
    timeline: AtomicU32,
}

struct Look {
    state: State,
    /// A replica's, then.
    lag: Option<Duration>,
    round_trip: Duration,
}

struct Failure {
    since: Instant,
    error: ConnectError,
}

impl HealthRecord {
    pub(super) fn new(region: &'static str, lineage: Arc<Lineage>) -> Self {
        Self {
            region,
            lineage,
            // Nobody has found otherwise.
            up: AtomicBool::new(true),
            silences: watch::Sender::new(0),
            watched: AtomicBool::new(false),
            wake: Notify::new(),
            back: Notify::new(),
            heard: AtomicU64::new(0),
            begun: Instant::now(),
            look: ArcSwapOption::empty(),
            failure: ArcSwapOption::empty(),
            started: AtomicI64::new(0),
            timeline: AtomicU32::new(0),
        }
    }

    /// Whether a read may be sent there.
    pub(crate) fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    pub(crate) fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Relaxed)
    }

    /// Whether nobody had said so before.
    pub(super) fn begin_to_watch(&self) -> bool {
        !self.watched.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.look.load().as_ref().map(|look| look.round_trip)
    }

    pub(super) fn now(&self) -> Health {
        let (look, failure) = (self.look.load_full(), self.failure.load_full());
        let state = look.as_ref().map(|look| look.state);
        Health {
            up: self.is_watched().then(|| self.is_up()),
            why_down: failure.as_ref().map(|failure| failure.error.to_string()),
            down_since: failure.as_ref().map(|failure| failure.since),
            role: state.map(|state| state.role),
            timeline: state.map(|state| state.timeline),
            lag: state.and_then(|state| state.as_of).map(|as_of| as_of.elapsed()),
            round_trip: look.as_ref().map(|look| look.round_trip),
        }
    }

    /// It has answered the monitor.
    pub(super) fn answered(&self, state: State, round_trip: Duration) {
        let lag = state.as_of.filter(|_| state.role == Role::Replica).map(|as_of| as_of.elapsed());
        self.look.store(Some(Arc::new(Look { state, lag, round_trip })));
        self.is_well();
    }

    /// It has taken a write, whatever was found before: that visitor's next read may need it.
    pub(crate) fn has_written(&self) {
        if !self.is_up() {
            self.is_well();
        }
    }

    fn is_well(&self) {
        self.failure.store(None);
        self.up.store(true, Ordering::Relaxed);
    }

    /// The monitor could not reach it, or it may not be used. Nobody else asks it until the monitor has found it well again.
    pub(super) fn failed(&self, error: ConnectError) {
        let known = self.failure.load();
        if known.as_ref().is_none_or(|known| known.error.to_string() != error.to_string()) {
            tracing::warn!(region = self.region, %error, "reads go elsewhere until this database can serve again");
        }
        let since = known.as_ref().map_or_else(Instant::now, |failure| failure.since);
        let is_silent = error.is_silence();
        self.failure.store(Some(Arc::new(Failure { since, error })));
        self.up.store(false, Ordering::Relaxed);
        if is_silent {
            self.silences.send_modify(|silences| *silences = silences.wrapping_add(1));
        }
    }

    /// Why nobody gets an answer from it, as far as the monitor knows.
    pub(crate) fn silence(&self) -> Option<ConnectError> {
        self.failure
            .load()
            .as_ref()
            .map(|failure| failure.error.clone())
            .filter(ConnectError::is_silence)
    }

    /// Somebody else than a visitor has heard from it: the monitor need not wait.
    pub(super) fn is_back(&self) {
        self.back.notify_one();
    }

    /// Until then.
    pub(super) async fn back(&self) {
        self.back.notified().await;
    }

    /// Somebody's connection broke, or is silent: asks the monitor to look.
    pub(crate) fn suspect(&self) {
        self.wake.notify_one();
    }

    /// Until somebody wants the monitor to look.
    pub(super) async fn suspected(&self) {
        self.wake.notified().await;
    }

    /// Resolves when from now on the server is found to be silent, which is looked for when its answer is late: after how long. For
    /// whoever waits for its answer.
    pub(crate) fn gone(&self) -> impl Future<Output = Duration> + Send + use<'_> {
        let (start, known) = (Instant::now(), *self.silences.borrow());
        self.silent_again(start, known)
    }

    async fn silent_again(&self, start: Instant, known: u32) -> Duration {
        tokio::time::sleep(SUSPICIOUS).await;
        // On a long line an answer is not late yet.
        tokio::time::sleep(self.round_trip().unwrap_or_default() * 2).await;
        self.suspect();
        if self.silences.subscribe().wait_for(|silences| *silences != known).await.is_err() {
            std::future::pending::<()>().await;
        }
        Duration::from_secs_f64((start.elapsed().as_secs_f64() * 1000.0).round() / 1000.0)
    }

    /// How a server stands that said this, and that stood as `before` when it was last asked on the same connection.
    pub(crate) fn settle(&self, server: Server, said: Said, before: Option<State>) -> State {
        self.heard.fetch_max(self.milliseconds(said.asked), Ordering::Relaxed);
        let timeline = self.timeline_of(server, said);
        self.lineage.settle(server.system, said, timeline, before)
    }

    /// Whether it has answered a question that was asked then, or later.
    pub(super) fn was_heard_since(&self, then: Instant) -> bool {
        self.heard.load(Ordering::Relaxed) >= self.milliseconds(then)
    }

    fn milliseconds(&self, then: Instant) -> u64 {
        u64::try_from(then.saturating_duration_since(self.begun).as_millis()).unwrap_or(u64::MAX)
    }

    /// How far it was behind when the monitor last looked, if it was further than `limit`.
    pub(crate) fn lags_more_than(&self, limit: Duration) -> Option<Duration> {
        self.look.load().as_ref().and_then(|look| look.lag).filter(|lag| *lag > limit)
    }

    /// A server never goes back to an older timeline while it runs, whatever it can say of itself at the moment.
    fn timeline_of(&self, server: Server, said: Said) -> u32 {
        if self.started.swap(server.started, Ordering::Relaxed) != server.started {
            self.timeline.store(said.timeline, Ordering::Relaxed);
        }
        let known = self.timeline.fetch_max(said.timeline, Ordering::Relaxed);
        if said.is_replica { known.max(said.timeline) } else { said.timeline }
    }
}
