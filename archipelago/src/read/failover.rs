//! The way of a read that the first database did not serve at once.

use std::pin::pin;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{Attempt, Served, served};
use crate::cluster::{Cluster, Member};
use crate::freshness::{Need, Unmet};
use crate::question::{Ping, Verdict};
use crate::{Error, Reason, Replica};

/// For an old answer, where there is no better one.
const LAST: Duration = Duration::from_secs(3);

/// One read on its way.
pub(super) struct Walk<'a> {
    read: Replica<'a>,
    cluster: &'a Cluster,
    order: &'static [usize],
    /// When the first was asked.
    begun: Instant,
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
    pub(super) fn new(
        read: Replica<'a>,
        cluster: &'a Cluster,
        order: &'static [usize],
        failed: &[&'static str],
        begun: std::time::Instant,
    ) -> Self {
        let here = match order.first() {
            Some(first) if !read.need.primary => *first,
            _ => cluster.leader_index(),
        };
        let reason = if read.need.primary { Reason::Primary } else { read.reason };
        let has_failed = |member: &Member| failed.contains(&member.info().code);
        let passed = cluster
            .members()
            .enumerate()
            .filter(|(_, member)| has_failed(member))
            .map(|(index, _)| index)
            .collect();
        Self {
            read,
            cluster,
            order,
            begun: begun.into(),
            here,
            reason,
            passed,
            lagging: Vec::new(),
            failure: None,
        }
    }

    /// Goes on, where the first was asked already with this outcome.
    pub(super) async fn go<A: Attempt>(
        &mut self,
        attempt: &A,
        mut outcome: Option<Result<Verdict<A::Answer>, Error>>,
    ) -> Result<Served<A::Answer>, Error> {
        let (cluster, first) = (self.cluster, self.here);
        let limit = cluster.at(first).reading.timeouts().answer();
        let deadline = self.begun + limit;
        loop {
            let member = cluster.at(self.here);
            cluster.watch(self.here);
            let mut wants_the_primary = false;
            let lag = self.read.need.at_most.and_then(|limit| member.health.lags_more_than(limit));
            if self.passed.contains(&self.here) {
                // It has failed.
            } else if !member.health.is_up() && outcome.is_none() {
                // The monitor looks again, and not every visitor.
            } else if lag.is_some() && outcome.is_none() {
                self.lagging.push(self.here);
            } else {
                let late = |_| Err(Error::Timeout { region: member.info().code, waited: limit });
                match timeout_at(deadline, self.ask(attempt, first, outcome.take()))
                    .await
                    .unwrap_or_else(late)
                {
                    Ok((who, Ok(shown))) => {
                        let reason = if who == self.here { self.reason } else { Reason::Failover };
                        return Ok(served(cluster.at(who), reason, shown, None));
                    }
                    Ok((_, Err(unmet))) => {
                        wants_the_primary = unmet == Unmet::Behind;
                        if unmet == Unmet::Lags {
                            self.lagging.push(self.here);
                        }
                        self.failure.get_or_insert(Error::NotFresh { region: member.info().code });
                    }
                    Err(error) if error.leads_elsewhere() => {
                        if !matches!(error, Error::Spilled { .. }) {
                            member.health.suspect();
                        }
                        self.failure = Some(error);
                    }
                    Err(error) => return Err(error),
                }
            }
            self.passed.push(self.here);
            match self.next(wants_the_primary) {
                Some(next) => {
                    self.here = next;
                    self.reason =
                        if wants_the_primary { Reason::Fresher } else { Reason::Failover };
                }
                None => return self.stale(attempt).await,
            }
        }
    }

    /// Asks who stands here, unless that has happened; waits for it where that is no longer a way than to the primary. Says who has
    /// answered.
    async fn ask<A: Attempt>(
        &mut self,
        attempt: &A,
        first: usize,
        outcome: Option<Result<Verdict<A::Answer>, Error>>,
    ) -> Result<(usize, Verdict<A::Answer>), Error> {
        let verdict = match outcome {
            Some(outcome) => outcome?,
            None if self.read.hedged && !self.read.need.primary && self.here == first => {
                return self.hedge(attempt).await;
            }
            None => self.ask_once(attempt, self.here).await?,
        };
        if matches!(verdict, Err(Unmet::Behind)) && self.has_caught_up().await? {
            return Ok((
                self.here,
                attempt.with(self.cluster.at(self.here), self.read.need).await?,
            ));
        }
        Ok((self.here, verdict))
    }

    /// Asks who stands here, and where that takes longer than it takes nearly always, somebody else as well. The first good answer
    /// counts; says whose.
    async fn hedge<A: Attempt>(
        &mut self,
        attempt: &A,
    ) -> Result<(usize, Verdict<A::Answer>), Error> {
        let (here, start, times) = (self.here, Instant::now(), &self.cluster.at(self.here).hedge);
        let mut in_vain = None;
        let mut no_good =
            |other, verdict| in_vain = Some((other, matches!(verdict, Ok(Err(Unmet::Lags)))));
        let (who, answer) = {
            let mut first = pin!(self.ask_once(attempt, here));
            let in_time = timeout(times.late().unwrap_or(Duration::MAX), &mut first).await.ok();
            let other = if in_time.is_none() { self.another() } else { None };
            match (in_time, other) {
                (Some(answer), _) => (here, answer),
                (None, None) => (here, first.await),
                (None, Some(other)) => {
                    match select(first, pin!(self.ask_once(attempt, other))).await {
                        Either::Left((answer @ Ok(Ok(_)), _)) => (here, answer),
                        Either::Right((answer @ Ok(Ok(_)), _)) => (other, answer),
                        Either::Left((answer, second)) => match second.await {
                            better @ Ok(Ok(_)) => (other, better),
                            worse => {
                                no_good(other, worse);
                                (here, answer)
                            }
                        },
                        Either::Right((answer, first)) => {
                            no_good(other, answer);
                            (here, first.await)
                        }
                    }
                }
            }
        };
        times.took(start.elapsed());
        if let Some((other, lags)) = in_vain {
            self.passed.push(other);
            self.lagging.extend(lags.then_some(other));
        }
        answer.map(|verdict| (who, verdict))
    }

    /// Who else may be asked the same.
    fn another(&self) -> Option<usize> {
        let other = self
            .order
            .iter()
            .copied()
            .find(|index| *index != self.here && self.cluster.at(*index).health.is_up());
        let other = other.filter(|_| self.cluster.at(self.here).hedge.allows_another());
        other.inspect(|other| self.cluster.watch(*other))
    }

    /// Asks one of them.
    async fn ask_once<A: Attempt>(
        &self,
        attempt: &A,
        here: usize,
    ) -> Result<Verdict<A::Answer>, Error> {
        let (cluster, member) = (self.cluster, self.cluster.at(here));
        let is_leader = here == cluster.leader_index();
        if is_leader {
            // One that was replaced before this process began does not know it.
            cluster.knows_the_leader(member.reading.timeouts().connect).await;
        }
        let place = match self.order.first() {
            Some(first) if is_leader && here != *first => {
                let region = cluster.at(*first).info().code;
                Some(cluster.spill().ok_or(Error::Spilled { region })?)
            }
            _ => None,
        };
        let mut verdict = attempt.with(member, self.read.need).await;
        if let (Some(place), Ok(Ok(shown))) = (place, &mut verdict) {
            A::keep(&mut shown.answer, place);
        }
        verdict
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
        let deadline = Instant::now() + LAST;
        for index in self.lagging.iter().copied().filter(|_| self.read.or_stale) {
            let member = self.cluster.at(index);
            if let Ok(Ok(Ok(shown))) = timeout_at(deadline, attempt.with(member, need)).await {
                let reason = if Some(&index) == self.order.first() {
                    self.read.reason
                } else {
                    Reason::Failover
                };
                return Ok(served(member, reason, shown, self.read.need.at_most));
            }
        }
        let region = self.cluster.at(self.here).info().code;
        Err(self.failure.take().unwrap_or(Error::NotFresh { region }))
    }
}
