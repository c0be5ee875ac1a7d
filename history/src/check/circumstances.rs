//! What could be reached in a stretch of time, by the log of the faults.

use std::time::Duration;

use crate::fault::{Fault, Kind};
use crate::history::History;

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
            promotion.began <= self.until && self.from <= promotion.settled && promotion.rejoined.iter().any(|it| it == region)
        });
        !is_made_anew && !self.faults().any(|fault| matches!(fault, Fault::Kill(it) | Fault::Freeze(it) if it == region))
    }

    /// Whether the line between two places was whole, and as long as ever.
    pub(super) fn is_whole(&self, a: &str, b: &str) -> bool {
        !self.faults().any(|fault| match fault {
            Fault::Cut(one, other) | Fault::Slow(one, other, _) => {
                [(one, other), (other, one)].iter().any(|(x, y)| *x == a && *y == b)
            }
            _ => false,
        })
    }

    /// The one primary, if there was one all the time.
    pub(super) fn primary(&self) -> Option<&'a str> {
        let promotions = &self.history.timelines.promotions;
        if promotions.iter().any(|promotion| promotion.began <= self.until && self.from <= promotion.done) {
            return None;
        }
        let last = promotions.iter().rfind(|promotion| promotion.done < self.from);
        Some(last.map_or(&self.history.first_primary, |promotion| &promotion.region))
    }

    /// Whether an instance of the app was restarted.
    pub(super) fn has_restart(&self) -> bool {
        self.faults().any(|fault| fault.kind() == Kind::Restart)
    }

    fn faults(&self) -> impl Iterator<Item = &'a Fault> {
        self.history.faults.iter().filter(|it| it.overlaps(self.from, self.until)).map(|it| &it.fault)
    }
}
