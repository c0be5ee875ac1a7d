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
pub use timelines::{Path, Timelines};

use crate::nemesis::{AppliedFault, Reset};
use crate::workload::{OPERATOR, Register, Request, Version};

/// How long a replica may show what its primary has lost by a reset, until an election finds it.
const NOTICED: Duration = Duration::from_secs(5);

/// How long an asynchronous commit may stay unflushed: three times `wal_writer_delay`, and more on a
/// busy machine.
const UNFLUSHED: Duration = Duration::from_secs(2);

/// Everything that a run recorded. Times count from the start of the run.
#[derive(Clone, Debug)]
pub struct History {
    /// Every request, ordered by its start.
    pub operations: Vec<Operation>,
    /// Every fault, in any order.
    pub faults: Vec<AppliedFault>,
    /// Every time that the primary's data was replaced by older data.
    pub resets: Vec<Reset>,
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
    /// Whether what an operation wrote or saw may have been discarded by this time.
    ///
    /// At a promotion the position decides. A write without one may be lost at the next promotion:
    /// its server failed before it could report the position. A reset discards what was written
    /// after its copy was made. A crash of the primary may discard an asynchronous commit.
    pub(crate) fn may_be_lost(&self, write: &Operation, by: Duration) -> bool {
        self.is_discarded_by_a_reset(write, by)
            || self.is_discarded_by_a_crash(write, by)
            || self.is_discarded_by_a_promotion(write, by)
    }

    /// Whether a version was written by a commit that may be lost by this time.
    pub(crate) fn is_version_lost(
        &self,
        register: Register,
        version: Version,
        by: Duration,
    ) -> bool {
        if register.owner != OPERATOR {
            return false;
        }
        let mut writes = self.operations.iter().filter(|it| it.request.is_asynchronous());
        writes
            .find(|write| write.request.written() == Some((register, version)))
            .is_some_and(|write| self.may_be_lost(write, by))
    }

    /// Whether a read may show the history that a reset has replaced: a replica does until it is
    /// found to be ahead. It lacks what was written since as well.
    pub(crate) fn may_show_replaced(&self, read: &Operation) -> bool {
        self.resets.iter().any(|it| it.began <= read.end && read.start <= it.done + NOTICED)
    }

    fn is_discarded_by_a_reset(&self, operation: &Operation, by: Duration) -> bool {
        let is_read = operation.request.written().is_none();
        let margin = if is_read { NOTICED } else { Duration::ZERO };
        let mut resets = self.resets.iter();
        resets.any(|it| {
            it.copied <= operation.end && operation.start <= it.done + margin && it.began <= by
        })
    }

    fn is_discarded_by_a_crash(&self, write: &Operation, by: Duration) -> bool {
        write.request.is_asynchronous()
            && self.faults.iter().any(|it| {
                it.fault.kind().crashes_a_server()
                    && it.from <= by
                    && it.overlaps(write.start, write.end + UNFLUSHED)
            })
    }

    fn is_discarded_by_a_promotion(&self, write: &Operation, by: Duration) -> bool {
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
