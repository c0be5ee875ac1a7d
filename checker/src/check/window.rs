//! Which servers and lines worked during a stretch of time, by the record of the faults.

use std::time::Duration;

use crate::history::History;
use crate::nemesis::{Fault, FaultKind};

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
        !is_rejoining
            && !self
                .faults()
                .any(|fault| matches!(fault, Fault::Kill(it) | Fault::Freeze(it) if it == region))
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
            && self
                .primary()
                .is_some_and(|primary| self.is_up(primary) && self.is_connected(primary, region))
    }

    /// The primary's region; `None` if a promotion was going on.
    pub(super) fn primary(&self) -> Option<&'a str> {
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

    fn faults(&self) -> impl Iterator<Item = &'a Fault> {
        self.history
            .faults
            .iter()
            .filter(|applied| applied.overlaps(self.from, self.until))
            .map(|applied| &applied.fault)
    }
}
