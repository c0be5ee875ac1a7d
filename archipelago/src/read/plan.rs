//! Which databases a read may use, in which order, and how fresh it must be.

use crate::cluster::{Cluster, Member};
use crate::region::Reason;
use crate::server::Requirement;

/// Where a read goes, and what it requires.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadPlan<'a> {
    pub(crate) candidates: Candidates<'a>,
    /// Why the first candidate is the first.
    pub(crate) reason: Reason,
    pub(crate) requirement: Requirement,
    /// Whether a replica that lags too much may answer if no other database can.
    pub(crate) or_stale: bool,
}

/// The databases that may serve a read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Candidates<'a> {
    /// This one only.
    Pinned(&'a Member),
    /// The members of `order`, by their indices, the nearest first, then the leader.
    Ordered { cluster: &'a Cluster, order: &'static [usize] },
}

impl<'a> ReadPlan<'a> {
    /// From the first of `order` that can serve.
    pub(super) fn ordered(cluster: &'a Cluster, order: &'static [usize], reason: Reason) -> Self {
        let requirement = cluster.max_lag().map_or(Requirement::ANY, Requirement::at_most);
        let candidates = Candidates::Ordered { cluster, order };
        Self { candidates, reason, requirement, or_stale: false }
    }

    /// From this database only, however far behind it is.
    pub(super) fn pinned(member: &'a Member) -> Self {
        let requirement = Requirement { allow_superseded: true, ..Requirement::ANY };
        let candidates = Candidates::Pinned(member);
        Self { candidates, reason: Reason::Local, requirement, or_stale: false }
    }

    /// The database that is asked first.
    pub(super) fn first(self) -> &'a Member {
        match self.candidates {
            Candidates::Pinned(member) => member,
            Candidates::Ordered { cluster, order } => {
                let first = order.first().copied();
                cluster.at(first.unwrap_or_else(|| cluster.leader_index()))
            }
        }
    }
}
