//! The history that the members share: the system identifier, the newest timeline, what visitors
//! claim of it, and the last known position of the primary.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use tokio::sync::Notify;

use super::report::ServerReport;
use super::state::{PrimarySample, ServerState};
use crate::settings::{Safeguard, Safeguards};

/// What is known of the cluster's history. The members share one.
pub(crate) struct Timelines {
    pub(crate) safeguards: Safeguards,
    /// The system identifier of the members; 0 while it is unknown.
    system: AtomicU64,
    /// The newest timeline that a member has shown.
    newest: AtomicU32,
    /// The newest timeline that a visitor's position has claimed.
    claimed: AtomicU32,
    /// The newest claimed timeline that no member knows.
    disproved: AtomicU32,
    sample: ArcSwapOption<PrimarySample>,
    news: Notify,
}

impl Timelines {
    pub(crate) fn new(safeguards: Safeguards) -> Self {
        Self {
            safeguards,
            system: AtomicU64::new(0),
            newest: AtomicU32::new(0),
            claimed: AtomicU32::new(0),
            disproved: AtomicU32::new(0),
            sample: ArcSwapOption::empty(),
            news: Notify::new(),
        }
    }

    /// The newest timeline that a member has shown. A primary on an older one is superseded.
    pub(crate) fn newest(&self) -> u32 {
        self.newest.load(Ordering::Relaxed)
    }

    /// The timeline that a primary must be on to serve; 0 if any will do.
    pub(crate) fn newest_enforced(&self) -> u32 {
        if self.safeguards.has(Safeguard::Role) { self.newest() } else { 0 }
    }

    /// Whether a primary on this timeline is superseded.
    pub(crate) fn is_superseded(&self, timeline: u32) -> bool {
        timeline < self.newest_enforced()
    }

    /// The system identifier of the members; 0 while it is unknown.
    pub(crate) fn system(&self) -> u64 {
        self.system.load(Ordering::Relaxed)
    }

    pub(crate) fn set_system(&self, system: u64) {
        self.system.store(system, Ordering::Relaxed);
    }

    /// Whether a server of this system identifier is no member. False while the members' is
    /// unknown.
    pub(crate) fn is_foreign(&self, system: u64) -> bool {
        let own = self.system();
        own != 0 && own != system
    }

    /// Records that a server of the database `system` is on this timeline.
    pub(crate) fn observe(&self, system: u64, timeline: u32) {
        if system == self.system() && self.newest.fetch_max(timeline, Ordering::Relaxed) < timeline
        {
            self.news.notify_one();
        }
    }

    /// Vets a position that a visitor brings and that this app has signed: None where it means
    /// nothing here. A timeline that no member has shown starts an election: there was a
    /// promotion, or the database was restored from a backup from before one.
    #[cfg(feature = "actix")]
    pub(crate) fn vet(
        &self,
        position: crate::position::Position,
    ) -> Option<crate::position::Position> {
        let timeline = position.timeline;
        if self.is_foreign(position.system) || self.is_disproved(timeline) {
            return None;
        }
        let is_news = timeline > self.newest()
            && self.claimed.fetch_max(timeline, Ordering::Relaxed) < timeline;
        if is_news {
            self.news.notify_one();
        }
        Some(position)
    }

    /// Whether a visitor has claimed a timeline that is neither shown nor disproved.
    pub(crate) fn has_open_claim(&self) -> bool {
        let claimed = self.claimed();
        claimed > self.newest() && !self.is_disproved(claimed)
    }

    /// The newest timeline that a visitor has claimed.
    pub(crate) fn claimed(&self) -> u32 {
        self.claimed.load(Ordering::Relaxed)
    }

    /// Whether all members were asked for this timeline and none knows it.
    pub(crate) fn is_disproved(&self, timeline: u32) -> bool {
        timeline > self.newest() && timeline <= self.disproved.load(Ordering::Relaxed)
    }

    /// Records that all members were asked and none is on a timeline as new as this claim.
    pub(crate) fn disprove(&self, claim: u32) {
        if claim > self.newest() {
            self.disproved.fetch_max(claim, Ordering::Relaxed);
        }
    }

    /// Resolves once a timeline newer than all before is shown or claimed.
    pub(crate) async fn newer_timeline(&self) {
        self.news.notified().await;
    }

    /// Keeps the state of the primary, to tell how fresh the replicas are that reach it.
    pub(crate) fn sample(&self, state: ServerState) {
        if let Some(at) = state.as_of.filter(|_| state.timeline == self.newest()) {
            let sample = PrimarySample { timeline: state.timeline, lsn: state.lsn, at };
            self.sample.store(Some(sample.into()));
        }
    }

    /// The state of a server of the database `system`, after `before` on the same connection.
    pub(super) fn interpret(
        &self,
        system: u64,
        report: ServerReport,
        timeline: u32,
        before: Option<ServerState>,
    ) -> ServerState {
        let timeline = if self.safeguards.has(Safeguard::Timeline) { timeline } else { 0 };
        self.observe(system, timeline);
        let sample = self.sample.load().as_deref().copied();
        ServerState::interpret(report, timeline, before, self.newest(), sample)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(feature = "actix")]
    use crate::position::Position;

    /// A cluster of the database 7 that has shown timeline 2.
    fn cluster() -> Timelines {
        let timelines = Timelines::new(Safeguards::default());
        timelines.set_system(7);
        timelines.observe(7, 2);
        timelines
    }

    #[cfg(feature = "actix")]
    fn at(system: u64, timeline: u32) -> Position {
        Position { system, timeline, lsn: 1 }
    }

    #[test]
    fn only_members_show_timelines() {
        let timelines = cluster();
        timelines.observe(8, 5);
        timelines.observe(7, 1);
        assert_eq!(timelines.newest(), 2);
        assert!(timelines.is_superseded(1) && !timelines.is_superseded(2));
        assert!(timelines.is_foreign(8) && !timelines.is_foreign(7));
    }

    #[cfg(feature = "actix")]
    #[test]
    fn a_claimed_timeline_is_open_until_shown_or_disproved() {
        let timelines = cluster();
        assert_eq!(timelines.vet(at(8, 1)), None);
        assert_eq!(timelines.vet(at(7, 2)), Some(at(7, 2)));
        assert!(!timelines.has_open_claim());
        assert_eq!(timelines.vet(at(7, 4)), Some(at(7, 4)));
        assert!(timelines.has_open_claim());
        timelines.disprove(4);
        assert!(!timelines.has_open_claim());
        assert_eq!(timelines.vet(at(7, 4)), None);
        assert_eq!(timelines.vet(at(7, 5)), Some(at(7, 5)));
        timelines.observe(7, 5);
        assert_eq!(timelines.vet(at(7, 4)), Some(at(7, 4)));
    }
}
