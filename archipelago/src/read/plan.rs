//! Which databases a read may use, in which order, and how fresh it must be.

use std::time::Instant;

use super::result::ReadResult;
use crate::cluster::{Cluster, Member};
use crate::error::Error;
use crate::query_span::QuerySpan;
use crate::region::{Reason, ServedBy};
use crate::server::{Freshness, Requirement};
use crate::settings::Safeguard;
use crate::visitor::Session;

/// Where a read goes, and what it requires.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadPlan<'a> {
    pub(crate) candidates: Candidates<'a>,
    /// Why the first candidate is the first.
    pub(crate) reason: Reason,
    pub(crate) requirement: Requirement,
    /// Whether a replica that lags too much may answer if no other database can.
    pub(crate) or_stale: bool,
    pub(crate) visitor: Option<Visitor<'a>>,
}

/// The visitor that a read is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visitor<'a> {
    pub(crate) session: &'a Session,
    /// Whether the read must show what the visitor has seen.
    pub(crate) is_required: bool,
}

/// The databases that may serve a read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Candidates<'a> {
    /// This one only.
    Pinned(&'a Member),
    /// The members of `order`, by their indices, the nearest first, then the leader.
    Ordered {
        cluster: &'a Cluster,
        order: &'static [usize],
        /// The one that is asked first; None is the leader.
        first: Option<usize>,
    },
}

impl<'a> ReadPlan<'a> {
    /// From the first of `order` that can serve.
    pub(super) fn ordered(cluster: &'a Cluster, order: &'static [usize], reason: Reason) -> Self {
        let requirement = cluster.max_lag().map_or(Requirement::ANY, Requirement::at_most);
        let candidates = Candidates::Ordered { cluster, order, first: order.first().copied() };
        Self { candidates, reason, requirement, or_stale: false, visitor: None }
    }

    /// From this database only, however far behind it is.
    pub(super) fn pinned(member: &'a Member) -> Self {
        let requirement = Requirement { allow_superseded: true, ..Requirement::ANY };
        let candidates = Candidates::Pinned(member);
        Self { candidates, reason: Reason::Local, requirement, or_stale: false, visitor: None }
    }

    /// The same plan, which asks the least busy server of the nearest region first.
    pub(super) fn balanced(mut self) -> Self {
        if let Candidates::Ordered { cluster, order, first } = &mut self.candidates {
            *first = cluster.first_of(order, self.requirement.at_most).or(*first);
        }
        self
    }

    /// The same plan, which requires what its visitor has seen as well. May wait for an election
    /// that tells what a position of an unknown timeline means.
    pub(super) async fn with_visitors_requirement(mut self) -> Self {
        let Some(Visitor { session, is_required: true }) = self.visitor else { return self };
        let freshness = match self.candidates {
            Candidates::Ordered { cluster, .. } => {
                let is_on = cluster.leadership().safeguards.has(Safeguard::Cookie);
                if is_on { session.freshness(cluster).await } else { None }
            }
            Candidates::Pinned(member) => {
                let system = member.health.leadership.view().system;
                session.data().position(system).map(Freshness::AtLeast)
            }
        };
        self.requirement = freshness.into_iter().fold(self.requirement, Requirement::and);
        self
    }

    /// Records the outcome of a read in the session of its visitor.
    pub(super) fn record<T>(&self, begun: Instant, outcome: &Result<ReadResult<T>, Error>) {
        let Some(Visitor { session, .. }) = self.visitor else { return };
        if let Candidates::Ordered { cluster, .. } = self.candidates {
            session.keep_for(cluster.max_lag());
        }
        session.keep_for(self.requirement.at_most);
        let shown = outcome.as_ref().ok().map(|read| (read.served_by, read.position));
        session.record_read(begun, shown);
    }

    /// Counts a read that was served, and records how long that took, all waits included.
    pub(super) fn count(self, begun: Instant, served_by: ServedBy) {
        let member = self.member(served_by.region);
        member.traffic.served_read(served_by.reason);
        member.query_times.record_read(served_by.role, served_by.reason, begun);
    }

    /// Records that what a caller did with a read has failed.
    pub(super) fn record_failure(&self) {
        if let Some(Visitor { session, .. }) = self.visitor {
            session.record_read(Instant::now(), None);
        }
    }

    /// Records the outcome of a read in its span.
    pub(super) fn end_span<T>(self, span: &QuerySpan, outcome: &Result<ReadResult<T>, Error>) {
        match outcome {
            Ok(read) => {
                span.answered(read.served_by, read.position, || self.member(read.served_by.region));
            }
            Err(error) => span.failed(Some(error), || self.first()),
        }
    }

    /// The database of a region that has served this read.
    pub(super) fn member(self, region: &str) -> &'a Member {
        let (first, is_it) = (self.first(), |member: &&Member| member.info().code == region);
        match self.candidates {
            Candidates::Ordered { cluster, .. } if !is_it(&first) => {
                cluster.members().find(is_it).unwrap_or(first)
            }
            _ => first,
        }
    }

    /// The database that is asked first.
    pub(super) fn first(self) -> &'a Member {
        match self.candidates {
            Candidates::Pinned(member) => member,
            Candidates::Ordered { cluster, first, .. } => {
                cluster.at(first.unwrap_or_else(|| cluster.leader_index()))
            }
        }
    }
}
