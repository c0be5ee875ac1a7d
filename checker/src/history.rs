//! Everything that a run recorded; the check reads nothing else.

mod observation;
mod operation;
mod position;
mod timelines;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::Duration;

pub use observation::{ReplaySample, Stall};
pub use operation::{Operation, Outcome};
pub use position::Position;
pub use timelines::Timelines;

use crate::nemesis::AppliedFault;
use crate::workload::{Register, Request, Version};

/// Everything that a run recorded. Times count from the start of the run.
#[derive(Clone, Debug)]
pub struct History {
    /// Every request, ordered by its start.
    pub operations: Vec<Operation>,
    /// Every fault, in any order.
    pub faults: Vec<AppliedFault>,
    /// How far each server had replayed, in order.
    pub samples: Vec<ReplaySample>,
    /// When this process got no processor time, in order.
    pub stalls: Vec<Stall>,
    /// Which positions survived the promotions.
    pub timelines: Timelines,
    /// The primary's region at the start.
    pub initial_primary: String,
    /// The regions with a server.
    pub regions: Vec<String>,
    /// Every row on the primary at the end, after all faults were undone.
    pub final_state: Vec<(Register, Version)>,
    /// The greatest age of a read that is not marked as stale.
    pub max_lag: Duration,
}

impl History {
    /// Whether a promotion that began by this time may have discarded an acknowledged write. The
    /// write's position decides. A write without one may be lost at the next promotion: its server
    /// failed before it could report the position.
    pub(crate) fn may_be_lost(&self, write: &Operation, by: Duration) -> bool {
        let lost_at = match write.position {
            Some(position) => self.timelines.lost_at(position),
            None => self
                .timelines
                .promotions
                .iter()
                .find(|promotion| write.start <= promotion.settled)
                .map(|promotion| promotion.began),
        };
        lost_at.is_some_and(|at| at <= by)
    }

    /// Registers whose user id another register also got, because a promotion discarded the first
    /// user. Updates of one then write the other, so the check can judge neither.
    pub(crate) fn registers_with_reused_ids(&self) -> HashSet<Register> {
        let mut by_id: HashMap<i64, HashSet<Register>> = HashMap::new();
        for operation in self.operations.iter().filter(|it| it.outcome == Outcome::Ok) {
            if let (Request::Create(register), Some(id)) = (operation.request, operation.user_id) {
                by_id.entry(id).or_default().insert(register);
            }
        }
        by_id.into_values().filter(|registers| registers.len() > 1).flatten().collect()
    }
}

/// One line per operation, and one per fault before the operations that started after it.
impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut faults: Vec<_> = self.faults.iter().collect();
        faults.sort_by_key(|fault| fault.from);
        let mut faults = faults.into_iter().peekable();
        for operation in &self.operations {
            while let Some(AppliedFault { fault, from, until }) =
                faults.next_if(|fault| fault.from <= operation.start)
            {
                let [from, until] = [from, until].map(Duration::as_secs_f64);
                writeln!(f, "{from:8.3}–{until:.3} s  {fault}")?;
            }
            writeln!(f, "{operation}")?;
        }
        Ok(())
    }
}
