//! From what happened to what should not have. Pure: a history goes in, violations come out.

mod availability;
mod durability;
#[cfg(test)]
pub(crate) mod fixtures;
mod old_primary;
mod recency;
mod window;

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::history::History;

/// For a change to be noticed: servers are looked at once a second, connected to with a patience of three, and looked at again
/// after a pause. A failed read counts, and a write that an old primary took from an instance that has not shown that it knows the
/// new one, where everything had been well for so long.
pub const MARGIN: Duration = Duration::from_secs(5);

/// By how much a read may be older than it should be. Each read's own server says how old it is, so this is only what a commit takes
/// from its stamp to its acknowledgement, and what a busy machine adds.
pub const SLACK: Duration = Duration::from_millis(300);

/// What a violation breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Promise {
    /// A write that was acknowledged is there, but for what a promotion could not know.
    NothingLost,
    /// A server that is known to be an old primary gets no write.
    NoOldPrimary,
    /// What is sent twice happens once.
    NothingTwice,
    /// What was refused did not happen.
    NothingUntold,
    /// A visitor sees what they wrote.
    OwnWrites,
    /// A visitor never sees an older version than before.
    NeverBackwards,
    /// No read is older than `max_lag`, or than it says.
    FreshEnough,
    /// No read is marked as stale while the primary can be reached.
    FreshIfPossible,
    /// A read does not fail while a server that is fresh enough can be reached.
    Available,
}

/// A promise that was not kept.
#[derive(Clone, Debug, Serialize)]
pub struct Violation {
    /// Which.
    pub promise: Promise,
    /// How.
    pub what: String,
    /// The operations that show it, by their place in the history.
    pub operations: Vec<usize>,
}

/// What a check found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Verdict {
    /// Promises that were not kept.
    pub violations: Vec<Violation>,
    /// Acknowledged writes that are gone, and had not reached the new primary at a promotion, or whose position nobody could tell.
    /// Replication is asynchronous: nobody promises these.
    pub lost_at_promotions: Vec<usize>,
}

/// Checks every promise.
#[must_use]
pub fn check(history: &History) -> Verdict {
    let (mut verdict, shared) = (Verdict::default(), history.of_shared_ids());
    old_primary::check(history, &mut verdict);
    durability::check(history, &shared, &mut verdict);
    recency::check(history, &shared, &mut verdict);
    availability::check(history, &mut verdict);
    verdict
}

impl Verdict {
    fn add(&mut self, promise: Promise, what: String, operations: impl IntoIterator<Item = usize>) {
        self.violations.push(Violation {
            promise,
            what,
            operations: operations.into_iter().collect(),
        });
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NothingLost => "lost write",
            Self::NoOldPrimary => "write to an old primary",
            Self::NothingTwice => "created twice",
            Self::NothingUntold => "refused and yet written",
            Self::OwnWrites => "own write not seen",
            Self::NeverBackwards => "read went backwards",
            Self::FreshEnough => "stale read",
            Self::FreshIfPossible => "stale without need",
            Self::Available => "failed read",
        })
    }
}
