//! Which servers and lines worked during a stretch of time, by the record of the faults.

use std::time::Duration;

use super::MARGIN;
use crate::history::{History, Stall};
use crate::nemesis::{AppliedFault, Fault, FaultKind};

/// A stretch of time in a history. Each predicate holds for all of it.
pub(super) struct Window<'a> {
    history: &'a History,
    from: Duration,
    until: Duration,
}

impl<'a> Window<'a> {
    pub(super) fn new(history: &'a History, from: Duration, until: Duration) -> Self {
        Self { history, from, until }
    }

    /// Whether a server ran, and was neither an old primary nor being rebuilt.
    pub(super) fn is_up(&self, region: &str) -> bool {
        let is_rejoining = self.history.timelines.promotions.iter().any(|promotion| {
            promotion.began <= self.until
                && self.from <= promotion.settled
                && promotion.rejoined.iter().any(|rejoined| rejoined == region)
        });
        let is_hit = |fault: &Fault| match fault {
            Fault::Kill(it) | Fault::Freeze(it) | Fault::Clock(it, _) => it == region,
            _ => fault.kind().replaces_the_data() || fault.wrong_primaries().contains(&region),
        };
        !is_rejoining && !self.faults().any(is_hit)
    }

    /// Whether traffic passed between two regions, be it slowly.
    pub(super) fn is_connected(&self, a: &str, b: &str) -> bool {
        !self.faults().any(|fault| match fault {
            Fault::Cut(x, y) => [(x, y), (y, x)].iter().any(|(x, y)| *x == a && *y == b),
            _ => false,
        })
    }

    /// Whether a replica received and showed what the one primary wrote.
    pub(super) fn is_replicating(&self, region: &str) -> bool {
        let is_held_back = self.faults().any(
            |fault| matches!(fault, Fault::PauseReplay(it) | Fault::Lag(it, _) if it == region),
        );
        !is_held_back
            && self.has_all_rights()
            && self
                .primary()
                .is_some_and(|primary| self.is_up(primary) && self.is_connected(primary, region))
    }

    /// Whether the app's role could see all of a replica's state.
    pub(super) fn has_all_rights(&self) -> bool {
        !self.faults().any(|fault| matches!(fault, Fault::Revoke(_)))
    }

    /// The primary's region; `None` if a promotion was going on, or the data were replaced.
    pub(super) fn primary(&self) -> Option<&'a str> {
        if self.faults().any(|fault| fault.kind().replaces_the_data()) {
            return None;
        }
        let promotions = &self.history.timelines.promotions;
        if promotions
            .iter()
            .any(|promotion| promotion.began <= self.until && self.from <= promotion.done)
        {
            return None;
        }
        let last = promotions.iter().rfind(|promotion| promotion.done < self.from);
        Some(last.map_or(&self.history.initial_primary, |promotion| &promotion.region))
    }

    /// Whether any instance of the app was restarted.
    pub(super) fn has_app_restart(&self) -> bool {
        self.faults().any(|fault| fault.kind() == FaultKind::RestartApp)
    }

    /// Whether this region's instance of the app was restarted.
    pub(super) fn has_app_restart_in(&self, region: &str) -> bool {
        self.faults().any(|fault| matches!(fault, Fault::RestartApp(it) if it == region))
    }

    /// Whether this process stalled: then a delay is not the app's.
    pub(super) fn has_stall(&self) -> bool {
        self.history.stalls.iter().any(|stall| stall.from <= self.until && self.from <= stall.until)
    }

    /// For how long this process stalled.
    pub(super) fn stalled(&self) -> Duration {
        let within =
            |stall: &Stall| stall.until.min(self.until).checked_sub(stall.from.max(self.from));
        self.history.stalls.iter().filter_map(within).sum()
    }

    fn faults(&self) -> impl Iterator<Item = &'a Fault> {
        self.history
            .faults
            .iter()
            .filter(|applied| {
                applied.overlaps(self.from, self.until) || self.is_noticed_in(applied)
            })
            .map(|applied| &applied.fault)
    }

    /// Instances may take twice as long to notice other data behind the same URLs.
    fn is_noticed_in(&self, applied: &AppliedFault) -> bool {
        applied.fault.kind().replaces_the_data()
            && applied.from <= self.until
            && self.from <= applied.until + MARGIN
    }
}
