//! What is known of the history that all databases share: the newest timeline, and where the primary was at a moment.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::ArcSwapOption;
use tokio::sync::Notify;

use crate::protection::Protections;
use crate::state::{Said, State};
use crate::{Protection, Role};

/// One for all members of a cluster.
pub(crate) struct Lineage {
    pub(crate) protections: Protections,
    system: AtomicU64,
    newest: AtomicU32,
    /// The newest timeline that a visitor's position names, and the newest of those that no database knows.
    rumour: AtomicU32,
    refuted: AtomicU32,
    /// The primary's place in the log, and a moment at which it had got there.
    sample: ArcSwapOption<Sample>,
    promoted: Notify,
}

struct Sample {
    timeline: u32,
    lsn: u64,
    at: Instant,
}

impl Lineage {
    pub(super) fn new(protections: Protections) -> Self {
        Self {
            protections,
            system: AtomicU64::new(0),
            newest: AtomicU32::new(0),
            rumour: AtomicU32::new(0),
            refuted: AtomicU32::new(0),
            sample: ArcSwapOption::empty(),
            promoted: Notify::new(),
        }
    }

    /// The newest timeline that a database has shown: a primary on an older one was replaced.
    pub(crate) fn newest(&self) -> u32 {
        self.newest.load(Ordering::Relaxed)
    }

    /// Whether a primary on this timeline was replaced.
    pub(crate) fn has_left(&self, timeline: u32) -> bool {
        self.protections.include(Protection::Role) && timeline < self.newest()
    }

    /// The system identifier that the databases share; 0 as long as nobody knows.
    pub(super) fn system(&self) -> u64 {
        self.system.load(Ordering::Relaxed)
    }

    pub(super) fn is_of(&self, system: u64) {
        self.system.store(system, Ordering::Relaxed);
    }

    /// Whether a server is of another database than the primary, as far as that is known.
    pub(crate) fn is_foreign(&self, system: u64) -> bool {
        let own = self.system();
        own != 0 && own != system
    }

    /// A server of the database `system` is on this timeline.
    pub(super) fn shown(&self, system: u64, timeline: u32) {
        if system == self.system() && self.newest.fetch_max(timeline, Ordering::Relaxed) < timeline
        {
            self.promoted.notify_one();
        }
    }

    /// What a position is worth that a visitor brings, and that this app has signed. Where it names a newer timeline than any
    /// database has shown, all are asked: there was a promotion, or the database was restored from a backup of before one.
    #[cfg(feature = "actix")]
    pub(crate) fn brought(&self, position: crate::Position) -> Option<crate::Position> {
        if self.is_foreign(position.system) || self.is_refuted(position.timeline) {
            return None;
        }
        if position.timeline > self.newest()
            && self.rumour.fetch_max(position.timeline, Ordering::Relaxed) < position.timeline
        {
            self.promoted.notify_one();
        }
        Some(position)
    }

    /// Whether a visitor has brought a timeline of which nobody knows yet whether it is there.
    pub(super) fn has_open_rumour(&self) -> bool {
        let rumour = self.rumour();
        rumour > self.newest() && !self.is_refuted(rumour)
    }

    /// Whether all databases were asked for this timeline, and none knows it.
    pub(crate) fn is_refuted(&self, timeline: u32) -> bool {
        timeline > self.newest() && timeline <= self.refuted.load(Ordering::Relaxed)
    }

    pub(super) fn rumour(&self) -> u32 {
        self.rumour.load(Ordering::Relaxed)
    }

    /// Every member was asked, and none is on a timeline that is so new.
    pub(super) fn is_no_timeline(&self, rumour: u32) {
        if rumour > self.newest() {
            self.refuted.fetch_max(rumour, Ordering::Relaxed);
        }
    }

    /// Until a newer timeline is shown than ever before.
    pub(super) async fn promoted(&self) {
        self.promoted.notified().await;
    }

    /// The primary has answered the monitor.
    pub(super) fn sampled(&self, state: State) {
        if let Some(at) = state.as_of.filter(|_| state.timeline == self.newest()) {
            self.sample.store(Some(Sample { timeline: state.timeline, lsn: state.lsn, at }.into()));
        }
    }

    /// How a server stands that said this on that timeline.
    ///
    /// A replica is as fresh as the last commit that it has replayed is young. On an idle primary that ages, although nothing is
    /// missing: so whoever has replayed what the primary had at a moment is as fresh as that moment, and near the primary the monitor
    /// commits something every second. On an older timeline than the newest, what is replayed says nothing of the present.
    pub(super) fn settle(
        &self,
        system: u64,
        said: Said,
        timeline: u32,
        before: Option<State>,
    ) -> State {
        let timeline = if self.protections.include(Protection::Timeline) { timeline } else { 0 };
        self.shown(system, timeline);
        let role = if said.is_replica { Role::Replica } else { Role::Primary };
        let before_as_of = before.and_then(|before| before.as_of);
        let as_of = if timeline < self.newest() {
            before_as_of
        } else if role == Role::Primary {
            Some(said.asked)
        } else {
            let by_time = said.behind.and_then(|behind| said.asked.checked_sub(behind));
            let reached = |sample: &Sample| timeline == sample.timeline && said.lsn >= sample.lsn;
            let by_place = self
                .sample
                .load()
                .as_ref()
                .filter(|sample| reached(sample))
                .map(|sample| sample.at);
            before_as_of.max(by_time).max(by_place)
        };
        let lsn = before
            .filter(|before| before.timeline == timeline)
            .map_or(said.lsn, |before| before.lsn.max(said.lsn));
        State { role, timeline, lsn, as_of, asked: said.asked }
    }
}
