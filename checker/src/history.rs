//! Everything that happened in a round: what a check goes by.

pub mod operation;
pub mod position;
pub mod timelines;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::check::Violation;
use crate::history::operation::{Action, Operation, Outcome};
use crate::history::timelines::Timelines;
use crate::nemesis::fault::Happened;
use crate::observer::{Sample, Stall};
use crate::workload::register::{Row, Version};

/// Everything that happened in a round.
#[derive(Clone, Debug, Serialize)]
pub struct History {
    /// Of each visitor in order.
    pub operations: Vec<Operation>,
    /// In any order.
    pub faults: Vec<Happened>,
    /// What each server could have shown, in order.
    pub samples: Vec<Sample>,
    /// When the machine stood still, in order.
    pub stalls: Vec<Stall>,
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

impl History {
    /// A violation with the lines of its operations.
    #[must_use]
    pub fn explain(&self, violation: &Violation) -> String {
        let shown = violation.operations.iter().filter_map(|index| self.operations.get(*index));
        let what = format!("{}: {}", violation.promise, violation.what);
        std::iter::once(what).chain(shown.map(|operation| format!("\n    {operation}"))).collect()
    }

    /// A write that was acknowledged, and that a promotion may have thrown away before this time: so its position says, or it has
    /// none, as the server broke before it could tell.
    pub(crate) fn may_be_lost(&self, write: &Operation, by: Duration) -> bool {
        let at = match write.position {
            Some(position) => self.timelines.lost(position),
            None => self
                .timelines
                .promotions
                .iter()
                .find(|it| write.start <= it.settled)
                .map(|it| it.began),
        };
        at.is_some_and(|at| at <= by)
    }

    /// The rows of ids that were given twice, as the record of it was lost at a promotion: who writes the lost one now writes the
    /// other, and nothing can be said of either.
    pub(crate) fn of_shared_ids(&self) -> HashSet<Row> {
        let created = self.operations.iter().filter(|it| it.outcome == Outcome::Done);
        let mut of_ids: HashMap<i64, HashSet<Row>> = HashMap::new();
        for operation in created {
            if let (Action::Create(row), Some(id)) = (operation.action, operation.id) {
                of_ids.entry(id).or_default().insert(row);
            }
        }
        of_ids.into_values().filter(|rows| rows.len() > 1).flatten().collect()
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
                writeln!(
                    f,
                    "{:8.3}–{:.3} s  {}",
                    fault.from.as_secs_f64(),
                    fault.until.as_secs_f64(),
                    fault.fault
                )?;
            }
            writeln!(f, "{operation}")?;
        }
        Ok(())
    }
}
