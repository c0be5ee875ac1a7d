//! What could be reached in a stretch of time, by the log of the faults.

use std::time::Duration;

use crate::history::History;
use crate::nemesis::fault::{Fault, Kind};

/// A stretch of time, and what was wrong in it.
pub(super) struct Circumstances<'a> {
    history: &'a History,
    from: Duration,
    until: Duration,
}

impl<'a> Circumstances<'a> {
    pub(super) fn of(history: &'a History, from: Duration, until: Duration) -> Self {
        Self { history, from, until }
    }

    /// Whether a server ran all the time, and was no old primary.
    pub(super) fn is_well(&self, region: &str) -> bool {
        let is_made_anew = self.history.timelines.promotions.iter().any(|promotion| {
            promotion.began <= self.until
                && self.from <= promotion.settled
                && promotion.rejoined.iter().any(|it| it == region)
        });
        !is_made_anew
            && !self
                .faults()
                .any(|fault| matches!(fault, Fault::Kill(it) | Fault::Freeze(it) if it == region))
    }

    /// Whether the line between two places was whole. A longer one is no excuse.
    pub(super) fn is_whole(&self, a: &str, b: &str) -> bool {
        !self.faults().any(|fault| match fault {
            Fault::Cut(one, other) => {
                [(one, other), (other, one)].iter().any(|(x, y)| *x == a && *y == b)
            }
            _ => false,
        })
    }

    /// Whether a replica received and showed all the time what the one primary wrote.
    pub(super) fn is_fed(&self, region: &str) -> bool {
        let is_held_back = self
            .faults()
            .any(|fault| matches!(fault, Fault::Pause(it) | Fault::Lag(it, _) if it == region));
        !is_held_back
            && self
                .primary()
                .is_some_and(|primary| self.is_well(primary) && self.is_whole(primary, region))
    }

    /// The one primary, if there was one all the time.
    pub(super) fn primary(&self) -> Option<&'a str> {
        let promotions = &self.history.timelines.promotions;
        if promotions
            .iter()
            .any(|promotion| promotion.began <= self.until && self.from <= promotion.done)
        {
            return None;
        }
        let last = promotions.iter().rfind(|promotion| promotion.done < self.from);
        Some(last.map_or(&self.history.first_primary, |promotion| &promotion.region))
    }

    /// Whether an instance of the app was restarted.
    pub(super) fn has_restart(&self) -> bool {
        self.faults().any(|fault| fault.kind() == Kind::Restart)
    }

    /// Whether the instance of this region was.
    pub(super) fn restarts(&self, region: &str) -> bool {
        self.faults().any(|fault| matches!(fault, Fault::Restart(it) if it == region))
    }

    /// Whether the machine stood still: then nothing is late.
    pub(super) fn has_stall(&self) -> bool {
        self.history.stalls.iter().any(|stall| stall.from <= self.until && self.from <= stall.until)
    }

    fn faults(&self) -> impl Iterator<Item = &'a Fault> {
        self.history
            .faults
            .iter()
            .filter(|it| it.overlaps(self.from, self.until))
            .map(|it| &it.fault)
    }
}
