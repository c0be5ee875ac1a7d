//! A read's way through the databases: from the nearest to the one that can serve it.

pub(crate) mod hedge;

use std::pin::pin;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::cluster::{Cluster, Member};
use crate::freshness::{Need, Unmet};
use crate::pool::Lease;
use crate::question::{Ping, Question, Shown, Verdict};
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

    fn with(&self, member: &Member, need: Need) -> impl Future<Output = Result<Verdict<Self::Answer>, Error>> + Send;
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
}

impl<'a> Way<'a> {
    /// Who is asked first.
    pub(crate) fn first(self) -> &'a Member {
        match self {
            Self::Only(member) => member,
            Self::Through { cluster, order } => cluster.at(order.first().copied().unwrap_or_else(|| cluster.leader_index())),
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
    /// Tries the databases in order until one serves.
    pub(crate) async fn through<A: Attempt>(self, attempt: &A) -> Result<Served<A::Answer>, Error> {
        let first = match self.way {
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
            (Way::Through { cluster, order }, outcome) => Box::pin(Walk::new(self, cluster, order).go(attempt, outcome)).await,
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
        let lags = self.need.at_most.and_then(|limit| member.health.lags_more_than(limit)).is_some();
        (is_known && !lags && member.health.is_up()).then_some(member)
    }
}

fn served<A>(member: &Member, reason: Reason, shown: Shown<A>, limit: Option<Duration>) -> Served<A> {
    let Shown { answer, state, position } = shown;
    let is_replica = state.role == Role::Replica;
    // Where nobody can tell, at least so much.
    let stale = limit.and_then(|limit| match state.as_of {
        Some(as_of) => Some(as_of.elapsed()).filter(|lag| *lag > limit),
        None => Some(limit),
    });
    Served {
        value: answer,
        by: ServedBy { region: member.info().code, role: state.role, reason, stale: stale.filter(|_| is_replica) },
        position,
    }
}

/// One read on its way.
struct Walk<'a> {
    read: Replica<'a>,
    cluster: &'a Cluster,
    order: &'static [usize],
    /// Who is asked now.
    here: usize,
    reason: Reason,
    /// Who was asked, or passed over as it is known to be down.
    passed: Vec<usize>,
    /// Those of them who answered, and only lag.
    lagging: Vec<usize>,
    failure: Option<Error>,
}

impl<'a> Walk<'a> {
    fn new(read: Replica<'a>, cluster: &'a Cluster, order: &'static [usize]) -> Self {
        let here = match order.first() {
            Some(first) if !read.need.primary => *first,
            _ => cluster.leader_index(),
        };
        let reason = if read.need.primary { Reason::Primary } else { read.reason };
        // Nothing is allocated as long as all is well.
        Self { read, cluster, order, here, reason, passed: Vec::new(), lagging: Vec::new(), failure: None }
    }

    /// Goes on, where the first was asked already with this outcome.
    async fn go<A: Attempt>(
        &mut self,
        attempt: &A,
        mut outcome: Option<Result<Verdict<A::Answer>, Error>>,
    ) -> Result<Served<A::Answer>, Error> {
        let (cluster, first) = (self.cluster, self.here);
        let limit = cluster.at(first).reading.timeouts().answer();
        let deadline = Instant::now() + limit;
        loop {
            let member = cluster.at(self.here);
            cluster.watch(self.here);
            let mut wants_the_primary = false;
            let lag = self.read.need.at_most.and_then(|limit| member.health.lags_more_than(limit));
            if !member.health.is_up() && outcome.is_none() {
                // The monitor looks again, and not every visitor.
            } else if lag.is_some() && outcome.is_none() {
                self.lagging.push(self.here);
            } else {
                let late = |_| Err(Error::Timeout { region: member.info().code, waited: limit });
                match timeout_at(deadline, self.ask(attempt, first, outcome.take())).await.unwrap_or_else(late) {
                    Ok((who, Ok(shown))) => {
                        let reason = if who == self.here { self.reason } else { Reason::Failover };
                        return Ok(served(cluster.at(who), reason, shown, None));
                    }
                    Ok((_, Err(unmet))) => {
                        wants_the_primary = unmet == Unmet::Behind;
                        if matches!(unmet, Unmet::Lags(_)) {
                            self.lagging.push(self.here);
                        }
                        self.failure.get_or_insert(Error::NotFresh { region: member.info().code });
                    }
                    Err(error) if error.leads_elsewhere() => {
                        member.health.suspect();
                        self.failure = Some(error);
                    }
                    Err(error) => return Err(error),
                }
            }
            self.passed.push(self.here);
            match self.next(wants_the_primary) {
                Some(next) => {
                    self.here = next;
                    self.reason = if wants_the_primary { Reason::Fresher } else { Reason::Failover };
                }
                None => return self.stale(attempt).await,
            }
        }
    }

    /// Asks who stands here, unless that has happened; waits for it where that is no longer a way than to the primary. Says who has
    /// answered.
    async fn ask<A: Attempt>(
        &self,
        attempt: &A,
        first: usize,
        outcome: Option<Result<Verdict<A::Answer>, Error>>,
    ) -> Result<(usize, Verdict<A::Answer>), Error> {
        let verdict = match outcome {
            Some(outcome) => outcome?,
            None if self.read.hedged && self.here == first => return self.hedge(attempt).await,
            None => self.ask_once(attempt, self.here).await?,
        };
        if matches!(verdict, Err(Unmet::Behind)) && self.has_caught_up().await? {
            return Ok((self.here, attempt.with(self.cluster.at(self.here), self.read.need).await?));
        }
        Ok((self.here, verdict))
    }

    /// Asks who stands here, and where that takes longer than it takes nearly always, somebody else as well. The first answer counts;
    /// says whose.
    async fn hedge<A: Attempt>(&self, attempt: &A) -> Result<(usize, Verdict<A::Answer>), Error> {
        let (start, times) = (Instant::now(), &self.cluster.at(self.here).hedge);
        let mut first = pin!(async {
            let verdict = self.ask_once(attempt, self.here).await;
            times.took(start.elapsed());
            verdict.map(|verdict| (self.here, verdict))
        });
        let Some(late) = times.late() else { return first.await };
        if let Ok(answer) = timeout(late, &mut first).await {
            return answer;
        }
        let other = self.order.iter().copied().find(|index| *index != self.here && self.cluster.at(*index).health.is_up());
        let Some(other) = other.filter(|_| times.allows_another()) else { return first.await };
        self.cluster.watch(other);
        let second = pin!(async { self.ask_once(attempt, other).await.map(|verdict| (other, verdict)) });
        match select(first, second).await {
            Either::Left((answer @ Ok((_, Ok(_))), _)) | Either::Right((answer @ Ok((_, Ok(_))), _)) => answer,
            Either::Left((answer, second)) => second.await.or(answer),
            Either::Right((_, first)) => first.await,
        }
    }

    /// Asks one of them.
    async fn ask_once<A: Attempt>(&self, attempt: &A, here: usize) -> Result<Verdict<A::Answer>, Error> {
        let (cluster, member) = (self.cluster, self.cluster.at(here));
        let is_leader = here == cluster.leader_index();
        if is_leader {
            // One that was replaced before this process began does not know it.
            cluster.knows_the_leader(member.reading.timeouts().connect).await;
        }
        let _place = match self.order.first() {
            Some(first) if is_leader && here != *first => {
                let region = cluster.at(*first).info().code;
                Some(cluster.spill().ok_or(Error::Spilled { region })?)
            }
            _ => None,
        };
        attempt.with(member, self.read.need).await
    }

    /// Waits for who stands here.
    async fn has_caught_up(&self) -> Result<bool, Error> {
        let member = self.cluster.at(self.here);
        let until = Instant::now() + self.patience(self.here);
        let mut pause = Duration::from_millis(1);
        while Instant::now() + pause < until {
            sleep(pause).await;
            pause *= 2;
            if member.reading.read(&Mutex::new(Ping), self.read.need).await?.is_ok() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// How much longer the way to the primary is: as long as that, waiting costs no more than going there.
    fn patience(&self, here: usize) -> Duration {
        let round_trip = |index: usize| self.cluster.at(index).health.round_trip();
        let ways = round_trip(self.cluster.leader_index()).zip(round_trip(here));
        ways.map_or(Duration::ZERO, |(there, here)| there.saturating_sub(here))
    }

    /// Who is asked next: the nearest who was not, and the primary last; or the primary at once, as it has everything.
    fn next(&self, wants_the_primary: bool) -> Option<usize> {
        let leader = self.cluster.leader_index();
        let left = |index: &usize| !self.passed.contains(index);
        let leader_left = Some(leader).filter(left);
        if wants_the_primary && leader_left.is_some() || self.read.need.primary {
            return leader_left;
        }
        self.order.iter().copied().filter(|index| *index != leader).find(left).or(leader_left)
    }

    /// Nobody is fresh enough: the nearest who only lags, where the read allows that.
    async fn stale<A: Attempt>(&mut self, attempt: &A) -> Result<Served<A::Answer>, Error> {
        let need = Need { at_most: None, ..self.read.need };
        for index in self.lagging.iter().copied().filter(|_| self.read.or_stale) {
            let member = self.cluster.at(index);
            if let Ok(Ok(shown)) = attempt.with(member, need).await {
                let reason = if Some(&index) == self.order.first() { self.read.reason } else { Reason::Failover };
                return Ok(served(member, reason, shown, self.read.need.at_most));
            }
        }
        let region = self.cluster.at(self.here).info().code;
        Err(self.failure.take().unwrap_or(Error::NotFresh { region }))
    }
}
