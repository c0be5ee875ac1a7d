//! What the nemesis did, and when. Times count from the start of the run.

use std::time::Duration;

use super::Fault;
use crate::deployment::TimelineHistory;

/// Everything that the nemesis did in a run.
#[derive(Clone, Debug, Default)]
pub struct NemesisRecord {
    /// Every fault, in the order in which they were undone.
    pub faults: Vec<AppliedFault>,
    /// Every promotion, in order.
    pub promotions: Vec<Promotion>,
    /// Every time that the primary's data was replaced by older data, in order.
    pub resets: Vec<Reset>,
    /// The databases that were replaced by a new one, in order.
    pub replaced: Vec<TimelineHistory>,
    /// Faults that this machine cannot make, each with the reason.
    pub skipped: Vec<(Fault, String)>,
}

/// The primary's data was replaced by older data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reset {
    /// When making the copy began: everything from before is in it.
    pub copied: Duration,
    /// When the copy was made: nothing from after is in it.
    pub copied_until: Duration,
    /// When the old primary was about to stop.
    pub began: Duration,
    /// When the primary took writes with the older data.
    pub done: Duration,
}

/// A fault, and for how long it was in effect.
#[derive(Clone, Debug)]
pub struct AppliedFault {
    /// The fault.
    pub fault: Fault,
    /// Just before it was applied.
    pub from: Duration,
    /// Just after it was undone. A server that was started or rejoined follows the primary by then;
    /// after any other fault, replicas may still lag.
    pub until: Duration,
}

/// A replica became the primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promotion {
    /// The region of the new primary.
    pub region: String,
    /// The region of the primary before it.
    pub before: String,
    /// The timeline that it began.
    pub timeline: u32,
    /// When the promotion was requested; from here on either server may be the primary.
    pub began: Duration,
    /// When the new primary took writes.
    pub done: Duration,
    /// When every server in `rejoined` followed the new primary.
    pub settled: Duration,
    /// The servers that had to be rebuilt to follow it, the old primary first.
    pub rejoined: Vec<String>,
}

impl AppliedFault {
    /// Whether it was in effect at any moment of this stretch of time.
    #[must_use]
    pub fn overlaps(&self, from: Duration, until: Duration) -> bool {
        self.from <= until && from <= self.until
    }
}

#[cfg(test)]
impl Promotion {
    /// A promotion at this second that takes no time, with the old primary in nrt.
    pub(crate) fn at_second(second: u64, region: &str, timeline: u32) -> Self {
        let at = Duration::from_secs(second);
        let (region, before) = (region.to_owned(), "nrt".to_owned());
        Self { region, before, timeline, began: at, done: at, settled: at, rejoined: vec![] }
    }
}
