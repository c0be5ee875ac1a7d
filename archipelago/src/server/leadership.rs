//! Which server leads, as the last election has found: what the pools and the reads ask of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::Notify;

use super::freshness::Standing;
use super::journal::Journal;
use super::report::ServerIdentity;
use super::state::{PrimarySample, ServerState};
use crate::position::Position;
use crate::region::Role;
use crate::settings::{Safeguard, Safeguards};

/// The result of the last election. The members share one.
pub(crate) struct Leadership {
    pub(crate) safeguards: Safeguards,
    view: ArcSwap<LeaderView>,
    sample: ArcSwapOption<PrimarySample>,
    /// The newest timeline that a connection has shown.
    shown: AtomicU32,
    news: Notify,
    dropped: AtomicU64,
    pub(crate) journal: Journal,
}

/// What an election has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeaderView {
    /// The system identifier of the members; 0 while it is unknown.
    pub(crate) system: u64,
    /// None while no member leads.
    pub(crate) leader: Option<LeadingServer>,
    /// The newest timeline that is proven, or the leader's.
    pub(crate) newest: u32,
    /// Whether the first election has ended.
    pub(crate) has_begun: bool,
    /// Whether a position on a newer timeline than the leader's is of another history: a replica
    /// follows the leader, or all members answer, and none knows that timeline.
    pub(crate) excludes_newer: bool,
}

/// The server that leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeadingServer {
    pub(crate) region: &'static str,
    pub(crate) timeline: u32,
    /// When it was started: one server may play several regions.
    pub(crate) started: i64,
}

impl LeaderView {
    /// Whether a server of this region that takes writes on `timeline` is the leader.
    pub(crate) fn is_led_by(&self, region: &str, identity: ServerIdentity, timeline: u32) -> bool {
        self.leader.is_some_and(|leader| {
            let is_same = leader.region == region || leader.started == identity.started;
            is_same && timeline >= leader.timeline && !self.is_foreign(identity.system)
        })
    }

    /// Whether a server of this system identifier is no member. False while either is unknown.
    pub(crate) fn is_foreign(&self, system: u64) -> bool {
        self.system != 0 && system != 0 && self.system != system
    }
}

impl Leadership {
    pub(crate) fn new(safeguards: Safeguards) -> Self {
        Self {
            safeguards,
            view: ArcSwap::default(),
            sample: ArcSwapOption::empty(),
            shown: AtomicU32::new(0),
            news: Notify::new(),
            dropped: AtomicU64::new(0),
            journal: Journal::default(),
        }
    }

    pub(crate) fn view(&self) -> LeaderView {
        **self.view.load()
    }

    /// Publishes the result of an election. What a former leader had reached tells nothing of what
    /// another one has; its clock stamped what replicas show for now.
    pub(crate) fn publish(&self, view: LeaderView) {
        let before = self.view.load_full();
        if before.leader != view.leader {
            let clock = self.last_sample().map(|sample| PrimarySample { reached: None, ..sample });
            self.sample.store(clock.map(Arc::new));
        }
        if *before != view {
            self.view.store(Arc::new(view));
        }
    }

    /// Whether a server that takes writes may serve: it is the leader.
    pub(crate) fn is_led_by(&self, region: &str, identity: ServerIdentity, timeline: u32) -> bool {
        !self.safeguards.has(Safeguard::Role)
            || self.view.load().is_led_by(region, identity, timeline)
    }

    /// What the last election has found of a server on `timeline`.
    pub(super) fn standing(
        &self,
        region: &str,
        identity: ServerIdentity,
        timeline: u32,
    ) -> Standing {
        let view = self.view.load();
        let leads = self.is_led_by(region, identity, timeline);
        // 0: the login role may not see the timeline.
        let is_known = view.newest == 0 || timeline <= view.newest;
        Standing { leads, is_on_known_timeline: leads || is_known }
    }

    /// Whether a server of this system identifier is no member.
    pub(crate) fn is_foreign(&self, system: u64) -> bool {
        self.view.load().is_foreign(system)
    }

    /// Whether a position is on a newer timeline than any that is known: an election has to find
    /// it.
    pub(crate) fn is_unknown(&self, position: Position) -> bool {
        let view = self.view.load();
        view.system == position.system && position.timeline > view.newest
    }

    /// What replaces a position of another history: the same LSN on the newest timeline of this one,
    /// as the visitor may have seen that much here before. Where the log does not reach so far, the
    /// leader answers, and the visitor's next position is the leader's. None for a position of this
    /// history. Counts the others.
    pub(crate) fn replacement_for(&self, position: Position) -> Option<Position> {
        let view = self.view.load();
        let is_dropped = self.is_unknown(position) && view.excludes_newer;
        is_dropped.then(|| {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            Position { timeline: view.newest, ..position }
        })
    }

    /// How many positions were dropped.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Records the timeline of a member. A new one asks for an election.
    pub(super) fn observe(&self, identity: ServerIdentity, timeline: u32) {
        let view = self.view.load();
        let is_news = view.system == identity.system
            && timeline > view.newest
            && self.shown.fetch_max(timeline, Ordering::Relaxed) < timeline;
        if is_news {
            self.news.notify_one();
        }
    }

    /// Resolves once a connection shows a timeline newer than all before.
    pub(crate) async fn newer_timeline(&self) {
        self.news.notified().await;
    }

    /// Keeps the leader's state and clock, to tell how fresh replicas are.
    pub(crate) fn sample(&self, state: ServerState, clock: i64) {
        if let Some(at) = state.as_of.filter(|_| state.role == Role::Primary) {
            let reached = Some((state.timeline, state.lsn));
            let sample = PrimarySample { reached, clock, at };
            self.sample.store(Some(sample.into()));
        }
    }

    pub(super) fn last_sample(&self) -> Option<PrimarySample> {
        self.sample.load().as_deref().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::LogLayout;

    fn identity(system: u64, started: i64) -> ServerIdentity {
        ServerIdentity { system, started, sees_timelines: true, layout: LogLayout::default() }
    }

    /// `nrt` leads the database 7 on timeline 2.
    fn view() -> LeaderView {
        let leader = LeadingServer { region: "nrt", timeline: 2, started: 5 };
        LeaderView { system: 7, leader: Some(leader), newest: 2, ..LeaderView::default() }
    }

    #[test]
    fn which_server_leads() {
        let table = [
            ("the leader", "nrt", identity(7, 5), 2, true),
            ("the leader, restarted", "nrt", identity(7, 6), 2, true),
            ("the same server in another region", "ord", identity(7, 5), 2, true),
            ("another server on its timeline", "ord", identity(7, 9), 2, false),
            ("another server on a newer timeline", "ord", identity(7, 9), 3, false),
            ("an older copy in its place", "nrt", identity(7, 6), 1, false),
            ("another database in its place", "nrt", identity(8, 6), 2, false),
            ("a role that may not see the database", "nrt", identity(0, 6), 2, true),
        ];
        for (story, region, identity, timeline, expected) in table {
            assert_eq!(view().is_led_by(region, identity, timeline), expected, "{story}");
        }
        assert!(!LeaderView::default().is_led_by("nrt", identity(7, 5), 2), "before an election");
    }

    #[test]
    fn a_position_is_dropped_once_every_member_was_asked() {
        let leadership = Leadership::new(Safeguards::default());
        leadership.publish(view());
        let at = |system, timeline| Position { system, timeline, lsn: 1 };
        assert!(!leadership.is_unknown(at(7, 2)) && leadership.is_unknown(at(7, 3)));
        assert!(!leadership.is_unknown(at(8, 3)), "of another database");
        assert_eq!(leadership.replacement_for(at(7, 3)), None, "a member may know it");
        leadership.publish(LeaderView { excludes_newer: true, ..view() });
        assert_eq!(leadership.replacement_for(at(7, 3)), Some(at(7, 2)));
        assert_eq!(leadership.replacement_for(at(7, 2)), None);
        assert_eq!(leadership.dropped(), 1);
    }

    #[test]
    fn what_a_former_leader_had_reached_is_forgotten() {
        let leadership = Leadership::new(Safeguards::default());
        leadership.publish(view());
        let at = std::time::Instant::now();
        let sample = PrimarySample { reached: Some((2, 1)), clock: 0, at };
        leadership.sample.store(Some(Arc::new(sample)));
        leadership.publish(LeaderView { newest: 3, ..view() });
        let reached = || leadership.last_sample().unwrap().reached;
        assert!(reached().is_some());
        leadership.publish(LeaderView { leader: None, ..view() });
        assert!(reached().is_none());
    }

    #[test]
    fn a_timeline_that_no_member_proves_is_of_another_history() {
        let leadership = Leadership::new(Safeguards::default());
        let is_known =
            |timeline| leadership.standing("ord", identity(7, 9), timeline).is_on_known_timeline;
        assert!(is_known(3), "no timeline is proven yet");
        leadership.publish(view());
        assert!(is_known(1) && is_known(2) && !is_known(3));
        let leader = leadership.standing("nrt", identity(7, 5), 3);
        assert!(leader.is_on_known_timeline, "it was promoted in place");
        leadership.publish(LeaderView { newest: 0, ..view() });
        assert!(is_known(3), "the role sees no timeline");
    }

    #[test]
    fn a_newer_timeline_is_news_once() {
        use futures_util::FutureExt;

        let leadership = Leadership::new(Safeguards::default());
        leadership.publish(view());
        let is_news = |system, timeline| {
            leadership.observe(identity(system, 1), timeline);
            std::pin::pin!(leadership.newer_timeline()).now_or_never().is_some()
        };
        assert!(!is_news(8, 3) && !is_news(7, 2));
        assert!(is_news(7, 3));
        assert!(!is_news(7, 3));
    }
}
