//! A read's way through the databases: from the nearest to the one that can serve it.

pub(crate) mod hedge;
mod walk;

use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;

use self::walk::Walk;
use crate::cluster::{Cluster, Member};
use crate::freshness::Need;
use crate::pool::Lease;
use crate::question::{Question, Shown, Verdict};
use crate::{Error, Position, Reason, Replica, Role, ServedBy};

/// Who may be asked, and in which order.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way<'a> {
    /// This one.
    Only(&'a Member),
    /// These, by their numbers, and the primary last.
    Through {
        /// All of them.
        cluster: &'a Cluster,
        /// The nearest first.
        order: &'static [usize],
    },
}

/// What a read gave, who served it, and how new that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served<T> {
    /// What was read.
    pub value: T,
    /// Who served it, and why that one.
    pub by: ServedBy,
    /// Nothing that was read is newer than this position: a visitor's next read that is [`AtLeast`](crate::Freshness::AtLeast) here
    /// does not go back in time, whoever serves it.
    pub position: Position,
}

/// What is done with a database that is asked: it can be done with the next one as well.
pub(crate) trait Attempt: Sync {
    type Answer: Send;

    fn with(
        &self,
        member: &Member,
        need: Need,
    ) -> impl Future<Output = Result<Verdict<Self::Answer>, Error>> + Send;

    /// The answer came from the primary, and took a place there: until now, where nothing is left to be done with it.
    fn keep(_: &mut Self::Answer, _place: OwnedSemaphorePermit) {}
}

/// Asks a question.
pub(crate) struct Ask<Q>(pub(crate) Mutex<Q>);

impl<Q: Question> Attempt for Ask<Q> {
    type Answer = Q::Answer;

    async fn with(&self, member: &Member, need: Need) -> Result<Verdict<Q::Answer>, Error> {
        member.reading.read(&self.0, need).await
    }
}

/// Takes a connection for whatever wants a session.
pub(crate) struct CheckOut;

impl Attempt for CheckOut {
    type Answer = Lease;

    async fn with(&self, member: &Member, need: Need) -> Result<Verdict<Lease>, Error> {
        let mut lease = member.reading.checkout().await?;
        let state = match lease.meets(need).await? {
            Ok(()) => lease.state(),
            Err(unmet) => return Ok(Err(unmet)),
        };
        let position = lease.position(state.lsn);
        Ok(Ok(Shown { answer: lease, state, position }))
    }

    fn keep(lease: &mut Lease, place: OwnedSemaphorePermit) {
        lease.keep(place);
    }
}

impl<'a> Way<'a> {
    /// Who is asked first.
    pub(crate) fn first(self) -> &'a Member {
        match self {
            Self::Only(member) => member,
            Self::Through { cluster, order } => {
                cluster.at(order.first().copied().unwrap_or_else(|| cluster.leader_index()))
            }
        }
    }
}

impl Member {
    /// As long as it has not said itself what it is.
    pub(crate) fn served_by(&self, reason: Reason) -> ServedBy {
        ServedBy { region: self.info().code, role: self.info().role, reason, stale: None }
    }
}

impl Replica<'_> {
    /// Tries the databases in order until one serves, but for those of the regions that have failed already.
    pub(crate) async fn through<A: Attempt>(
        self,
        attempt: &A,
        failed: &[&'static str],
    ) -> Result<Served<A::Answer>, Error> {
        let begun = Instant::now();
        let first = match self.way {
            _ if !failed.is_empty() => None,
            Way::Only(member) => Some(member),
            Way::Through { cluster, order } => self.at_once(cluster, order),
        };
        let outcome = match first {
            Some(member) => match attempt.with(member, self.need).await {
                Ok(Ok(shown)) => return Ok(served(member, self.reason, shown, None)),
                outcome => Some(outcome),
            },
            None => None,
        };
        match (self.way, outcome) {
            // The rest of the way is rarely gone, and needs far more memory: it is not to be carried along by every read.
            (Way::Through { cluster, order }, outcome) => {
                Box::pin(Walk::new(self, cluster, order, failed, begun).go(attempt, outcome)).await
            }
            (Way::Only(_), Some(Err(error))) => Err(error),
            (Way::Only(member), _) => Err(Error::NotFresh { region: member.info().code }),
        }
    }

    /// Who may be asked without another thought.
    fn at_once<'a>(&self, cluster: &'a Cluster, order: &[usize]) -> Option<&'a Member> {
        let index = *order.first().filter(|_| !self.hedged && !self.need.primary)?;
        cluster.watch(index);
        let member = cluster.at(index);
        let is_known = index != cluster.leader_index() || cluster.leader_is_known();
        let lags =
            self.need.at_most.and_then(|limit| member.health.lags_more_than(limit)).is_some();
        (is_known && !lags && member.health.is_up()).then_some(member)
    }
}

fn served<A>(
    member: &Member,
    reason: Reason,
    shown: Shown<A>,
    limit: Option<Duration>,
) -> Served<A> {
    let Shown { answer, state, position } = shown;
    let is_replica = state.role == Role::Replica;
    // Where nobody can tell, at least so much.
    let stale = limit.and_then(|limit| match state.as_of {
        Some(as_of) => Some(as_of.elapsed()).filter(|lag| *lag > limit),
        None => Some(limit),
    });
    Served {
        value: answer,
        by: ServedBy {
            region: member.info().code,
            role: state.role,
            reason,
            stale: stale.filter(|_| is_replica),
        },
        position,
    }
}
