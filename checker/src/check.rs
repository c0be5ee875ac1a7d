//! Checks a history against every promise: a pure function from a history to violations.

mod anomaly;
mod availability;
mod conflict;
mod durability;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod fixtures;
mod old_primary;
mod recency;
mod window;

use std::time::Duration;

pub use anomaly::Anomaly;

use crate::history::History;

/// How long instances have to notice a change. They probe servers once a second, wait three seconds
/// for a connection, and pause before they probe again. A failed read, and a write that an old
/// primary took, count only where the state before them lasted this long. A write by an instance
/// that has already shown the new timeline counts at once.
pub const MARGIN: Duration = Duration::from_secs(5);

/// How much older than allowed a read may be. A server states its own age, so this covers only the
/// time from a commit's timestamp to its acknowledgement, and delays of a busy machine.
pub const SLACK: Duration = Duration::from_millis(300);

/// A broken promise.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Its kind.
    pub anomaly: Anomaly,
    /// What happened, in one line.
    pub detail: String,
    /// The operations that show it, as indices into [`History::operations`].
    pub operations: Vec<usize>,
}

/// What the check found in a history.
#[derive(Clone, Debug, Default)]
pub struct Analysis {
    /// Every broken promise.
    pub violations: Vec<Violation>,
    /// Acknowledged writes that a promotion discarded, as indices into [`History::operations`]: the
    /// new primary had not received them, or their position is unknown. They break no promise, as
    /// replication is asynchronous.
    pub lost_at_promotions: Vec<usize>,
}

/// Checks every promise.
#[must_use]
pub fn check(history: &History) -> Analysis {
    let mut analysis = Analysis::default();
    let ambiguous = history.registers_with_reused_ids();
    old_primary::check(history, &mut analysis);
    conflict::check(history, &mut analysis);
    durability::check(history, &ambiguous, &mut analysis);
    recency::check(history, &ambiguous, &mut analysis);
    availability::check(history, &mut analysis);
    analysis
}

impl Analysis {
    fn add(
        &mut self,
        anomaly: Anomaly,
        detail: String,
        operations: impl IntoIterator<Item = usize>,
    ) {
        let operations = operations.into_iter().collect();
        self.violations.push(Violation { anomaly, detail, operations });
    }
}

impl Violation {
    /// The violation, and a line for each of its operations.
    #[must_use]
    pub fn explain(&self, history: &History) -> String {
        let operations = self.operations.iter().filter_map(|at| history.operations.get(*at));
        let lines = operations.map(|operation| format!("\n    {operation}"));
        std::iter::once(format!("{}: {}", self.anomaly, self.detail)).chain(lines).collect()
    }
}
