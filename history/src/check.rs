//! From what happened to what should not have. Pure: a history goes in, violations come out.

mod available;
mod circumstances;
mod newest;
mod rows;
#[cfg(test)]
pub(crate) mod stories;
mod writes;

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::fault::Happened;
use crate::observer::Sample;
use crate::operation::{Operation, Row, Version};
use crate::timelines::Timelines;

/// For a change to be noticed: servers are looked at once a second, connected to with a patience of three, and looked at again
/// after a pause. A failed read counts, and a write that an old primary took, where everything had been well for so long.
pub const MARGIN: Duration = Duration::from_secs(5);

/// By how much a read may be older than `max_lag`: lag is measured once a second, on the way from afar.
pub const SLACK: Duration = Duration::from_secs(2);

/// Everything that happened in a round.
#[derive(Clone, Debug, Serialize)]
pub struct History {
    /// Of each visitor in order.
    pub operations: Vec<Operation>,
    /// In any order.
    pub faults: Vec<Happened>,
    /// What each server could have shown, in order.
    pub samples: Vec<Sample>,
    /// What survived.
    pub timelines: Timelines,
    /// The region of the primary at the beginning.
    pub first_primary: String,
    /// The regions that have a server.
    pub regions: Vec<String>,
    /// Every row as the last primary has it, after everything was healed.
    pub left: Vec<(Row, Version)>,
    /// How old a read may be that is not marked.
    pub max_lag: Duration,
}

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
    /// No read is older than `max_lag` and says nothing of it.
    FreshEnough,
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
    /// Acknowledged writes that had not reached the new primary at a promotion. Replication is asynchronous: nobody promises these.
    pub lost_at_promotions: Vec<usize>,
}

/// Checks every promise.
#[must_use]
pub fn check(history: &History) -> Verdict {
    let mut verdict = Verdict::default();
    writes::check(history, &mut verdict);
    rows::check(history, &mut verdict);
    newest::check(history, &mut verdict);
    available::check(history, &mut verdict);
    verdict
}

impl Verdict {
    fn add(&mut self, promise: Promise, what: String, operations: impl IntoIterator<Item = usize>) {
        self.violations.push(Violation { promise, what, operations: operations.into_iter().collect() });
    }
}

impl History {
    /// A violation with the lines of its operations.
    #[must_use]
    pub fn explain(&self, violation: &Violation) -> String {
        let lines = violation.operations.iter().filter_map(|index| self.operations.get(*index));
        let lines: String = lines.map(|operation| format!("    {operation}\n")).collect();
        format!("{}: {}\n{lines}", violation.promise, violation.what)
    }

    /// A write that was acknowledged at a position which a promotion threw away before this time.
    pub(crate) fn is_lost(&self, write: &Operation, by: Duration) -> bool {
        write.position.and_then(|position| self.timelines.lost(position)).is_some_and(|at| at <= by)
    }
}

/// A line for each operation, and for each fault where it begins.
impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut faults: Vec<_> = self.faults.iter().collect();
        faults.sort_by_key(|fault| fault.from);
        let mut faults = faults.into_iter().peekable();
        for operation in &self.operations {
            while let Some(fault) = faults.next_if(|fault| fault.from <= operation.start) {
                writeln!(f, "{:8.3}–{:.3} s  {}", fault.from.as_secs_f64(), fault.until.as_secs_f64(), fault.fault)?;
            }
            writeln!(f, "{operation}")?;
        }
        Ok(())
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
            Self::Available => "failed read",
        })
    }
}
