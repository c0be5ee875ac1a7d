//! A read that the first database did not serve at once: it goes from one database to the next.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::attempts::Attempts;
use super::next_candidate::{Progress, Wanted};
use super::operation::{Operation, RunQuery};
use super::plan::ReadPlan;
use super::result::ReadResult;
use crate::cluster::{Cluster, Elections, Member};
use crate::connection::{Ping, ReadOutcome, SpillPermit};
use crate::error::{Error, NextRead, NotServed, Tried};
use crate::region::Reason;
use crate::server::{NotFresh, Requirement};

/// The time for a stale answer, once no database is fresh enough.
const STALE_TIMEOUT: Duration = Duration::from_secs(3);

/// How many elections a read waits for that no database serves: in the course of a promotion one may
/// find that no member leads, and the next that another one does.
const ELECTIONS: usize = 2;

/// The failover of one read.
pub(super) struct Failover<'a> {
    plan: ReadPlan<'a>,
    cluster: &'a Cluster,
    order: &'static [usize],
    /// The one of `order` that is asked first.
    first: Option<usize>,
    /// How long a database may take for an answer, and until when one of them may.
    limit: Duration,
    deadline: Instant,
    /// The member that is asked now.
    current: usize,
    reason: Reason,
    /// The members that need not be asked: asked already, down, or known to lag.
    tried: Vec<usize>,
    /// Those of them that may give a stale answer.
    lagging: Vec<usize>,
    attempts: &'a mut Attempts,
}

impl<'a> Failover<'a> {
    pub(super) fn new(
        plan: ReadPlan<'a>,
        cluster: &'a Cluster,
        (order, first): (&'static [usize], Option<usize>),
        attempts: &'a mut Attempts,
        begun: std::time::Instant,
    ) -> Self {
        let limit = plan.first().reading.timeouts().answer();
        let mut failover = Self {
            plan,
            cluster,
            order,
            first,
            limit,
            deadline: Instant::from(begun) + limit,
            current: cluster.leader_index(),
            reason: Reason::Primary,
            tried: Vec::new(),
            lagging: Vec::new(),
            attempts,
        };
        failover.start();
        failover
    }

    /// Goes to the first database, and past those that have failed.
    fn start(&mut self) {
        let cluster = self.cluster;
        (self.current, self.reason) = match self.first {
            _ if self.plan.requirement.primary => (cluster.leader_index(), Reason::Primary),
            first => (first.unwrap_or_else(|| cluster.leader_index()), self.plan.reason),
        };
        self.attempts.keep_failures();
        let failed = &self.attempts.tried;
        let has_failed =
            |member: &Member| failed.iter().any(|tried| tried.region == member.info().code);
        let passed_over = cluster.all().filter(|(_, member)| member.is_off() || has_failed(member));
        self.tried = passed_over.map(|(index, _)| index).collect();
        self.lagging.clear();
    }

    /// Runs the operation at one database after another, until one serves it. `outcome` is that of
    /// the first one, if it was asked already.
    ///
    /// A database that was promoted a moment ago is refused until it is elected. Where none serves,
    /// the read waits for that election and begins again.
    pub(super) async fn run<O: Operation>(
        &mut self,
        operation: &mut O,
        mut outcome: Option<Result<ReadOutcome<O::Value>, Error>>,
    ) -> Result<ReadResult<O::Value>, Error> {
        for _ in 0..ELECTIONS {
            let seen = self.cluster.elections();
            let tried = match self.round(operation, outcome.take()).await {
                // Its role, or its history, is another one than the last election knew.
                Err(Error::NotServed { tried })
                    if tried.iter().any(|it| matches!(it.reason, NotServed::Unfit)) =>
                {
                    tried
                }
                result => return result,
            };
            // One that broke a connection is not sent to the primary.
            let may_go_on = !self.attempts.has_broken && self.has_elected_another(seen).await;
            self.attempts.tried = tried;
            if !may_go_on {
                return Err(self.attempts.all_failed());
            }
            self.start();
        }
        self.round(operation, None).await
    }

    /// Waits for the next election, as long as this read may take. Returns whether another member, or
    /// none, has come to lead since those in `seen`.
    async fn has_elected_another(&self, seen: Elections) -> bool {
        let checkout = self.cluster.at(self.current).reading.timeouts().checkout;
        let left = checkout.min(self.deadline.saturating_duration_since(Instant::now()));
        self.cluster.hold_election(seen, left).await && self.cluster.elections() != seen
    }

    /// Runs the operation at one database after another.
    async fn round<O: Operation>(
        &mut self,
        operation: &mut O,
        mut outcome: Option<Result<ReadOutcome<O::Value>, Error>>,
    ) -> Result<ReadResult<O::Value>, Error> {
        let (limit, deadline) = (self.limit, self.deadline);
        let checkout = self.cluster.at(self.current).reading.timeouts().checkout;
        if self.learn_of_elections(checkout).await
            && matches!(outcome, Some(Ok(ReadOutcome::NotFresh(_))))
        {
            outcome = None;
        }
        loop {
            let member = self.cluster.at(self.current);
            self.cluster.watch(self.current);
            let mut was_behind = false;
            let is_asked = outcome.is_some() || self.may_ask(member);
            self.tried.push(self.current);
            if is_asked {
                let region = member.info().code;
                let asked = timeout_at(deadline, self.ask(operation, outcome.take())).await;
                let late = |_| Err(Error::Timeout { region, waited: limit });
                match asked.unwrap_or_else(late) {
                    Ok(ReadOutcome::Answered(answer)) => {
                        return Ok(ReadResult::new(member, self.reason, answer, None));
                    }
                    Ok(ReadOutcome::NotFresh(not_fresh)) => {
                        was_behind = not_fresh == NotFresh::NotReplayed;
                        if not_fresh == NotFresh::TooOld {
                            self.lagging.push(self.current);
                        }
                        self.attempts.passed_over(region, not_fresh.into());
                    }
                    Err(error) => {
                        // One that leaves no place for this read was not asked.
                        if error.is_passing() && !matches!(error, Error::NotServed { .. }) {
                            member.traffic.failed();
                        }
                        let is_replica = self.current != self.cluster.leader_index();
                        if error.next_read(is_replica) != NextRead::FINAL {
                            member.health.request_check();
                        }
                        self.attempts.failed(region, is_replica, error)?;
                    }
                }
                if Instant::now() >= deadline {
                    return Err(self.attempts.all_failed());
                }
            }
            let Some(next) = self.next(was_behind) else { return self.stale(operation).await };
            self.current = next;
            self.reason = if was_behind { Reason::Fresher } else { Reason::Failover };
        }
    }

    /// Waits for the elections that this read depends on: the first one, before which no primary may
    /// answer, and one that finds the timeline of the required position. A position of another
    /// history is replaced. Returns whether an earlier refusal may have been premature.
    async fn learn_of_elections(&mut self, limit: Duration) -> bool {
        let was_unknown = !self.cluster.has_held_election();
        self.cluster.wait_for_leader(limit).await;
        let requirement = &mut self.plan.requirement;
        let instead = match requirement.at_least {
            Some(position) => self.cluster.replacement_for(position).await,
            None => None,
        };
        requirement.at_least = instead.or(requirement.at_least);
        was_unknown || instead.is_some()
    }

    /// Whether the current member is to be asked. The monitor checks a database that is down; reads
    /// do not.
    fn may_ask(&mut self, member: &Member) -> bool {
        if self.tried.contains(&self.current) {
            return false;
        }
        let reason = match member.health.down_reason() {
            Some(reason) => NotServed::Down(reason),
            None if self.cluster.lags_over(
                member,
                self.plan.requirement.at_most,
                !self.plan.or_stale,
            ) =>
            {
                self.lagging.push(self.current);
                NotServed::Lagging
            }
            None => return true,
        };
        self.attempts.passed_over(member.info().code, reason);
        false
    }

    /// Asks the current member, unless that has happened. If it is behind, waits for it to catch
    /// up, no longer than the way to the primary takes.
    async fn ask<O: Operation>(
        &self,
        operation: &mut O,
        outcome: Option<Result<ReadOutcome<O::Value>, Error>>,
    ) -> Result<ReadOutcome<O::Value>, Error> {
        let (member, requirement) = (self.cluster.at(self.current), self.plan.requirement);
        let permit = self.spill_permit()?;
        let outcome = match outcome {
            Some(outcome) => outcome?,
            None => operation.run_on(member, requirement, permit.clone()).await?,
        };
        let is_behind = matches!(outcome, ReadOutcome::NotFresh(NotFresh::NotReplayed));
        if is_behind && self.progress().sibling().is_none() && self.has_caught_up().await? {
            return operation.run_on(member, requirement, permit).await;
        }
        Ok(outcome)
    }

    /// What a read at the primary from elsewhere needs; None for any other read.
    fn spill_permit(&self) -> Result<Option<SpillPermit>, Error> {
        let (cluster, leader) = (self.cluster, self.cluster.leader_index());
        let is_elsewhere = match self.first {
            Some(first) => {
                let region = |index: usize| cluster.at(index).info().region;
                region(first) != region(leader)
            }
            None => cluster.is_elsewhere(),
        };
        if self.current != leader || !is_elsewhere {
            return Ok(None);
        }
        let refused = Tried { region: cluster.leader().info().code, reason: NotServed::Spilled };
        let permit = cluster.spill_permit(self.plan.requirement.at_least);
        permit.map(Some).ok_or_else(|| Error::NotServed { tried: vec![refused] })
    }

    /// Waits for the current member to satisfy the requirement; false when the time for that is
    /// over.
    async fn has_caught_up(&self) -> Result<bool, Error> {
        let member = self.cluster.at(self.current);
        let until = Instant::now() + self.catch_up_time();
        let mut pause = Duration::from_millis(1);
        while Instant::now() + pause < until {
            sleep(pause).await;
            pause *= 2;
            let outcome = RunQuery(Ping).run_on(member, self.plan.requirement, None).await?;
            if matches!(outcome, ReadOutcome::Answered(_)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// How much longer the way to the primary is. Waiting so long costs no more than going there.
    fn catch_up_time(&self) -> Duration {
        let round_trip = |index: usize| self.cluster.at(index).health.round_trip();
        let primary = round_trip(self.cluster.leader_index());
        let ways = primary.zip(round_trip(self.current));
        ways.map_or(Duration::ZERO, |(primary, here)| primary.saturating_sub(here))
    }

    fn next(&self, was_behind: bool) -> Option<usize> {
        let wanted = match (self.plan.requirement.primary, self.attempts.has_broken) {
            (true, true) => return None,
            (true, false) => Wanted::PrimaryOnly,
            (false, true) => Wanted::ReplicaOnly,
            (false, false) if was_behind => Wanted::Fresher,
            (false, false) => Wanted::Any,
        };
        self.progress().next(wanted)
    }

    fn progress(&self) -> Progress<'_> {
        let region = |index: &usize| self.cluster.at(*index).info().region;
        let order = self.order;
        let nearest = order.first().map(region);
        let siblings = order.iter().take_while(|index| Some(region(index)) == nearest).count();
        Progress { order, siblings, leader: self.cluster.leader_index(), tried: &self.tried }
    }

    /// No database is fresh enough: asks the nearest that only lags, if the read allows it.
    async fn stale<O: Operation>(
        &mut self,
        operation: &mut O,
    ) -> Result<ReadResult<O::Value>, Error> {
        let limit = self.plan.requirement.at_most;
        let requirement = Requirement { at_most: None, ..self.plan.requirement };
        let deadline = Instant::now() + STALE_TIMEOUT;
        for index in self.lagging.iter().copied().filter(|_| self.plan.or_stale) {
            let member = self.cluster.at(index);
            let asked = timeout_at(deadline, operation.run_on(member, requirement, None)).await;
            match asked {
                Ok(Ok(ReadOutcome::Answered(answer))) => {
                    let is_first = Some(index) == self.first;
                    let reason = if is_first { self.plan.reason } else { Reason::Failover };
                    return Ok(ReadResult::new(member, reason, answer, limit));
                }
                Ok(Ok(ReadOutcome::NotFresh(_))) => {}
                Ok(Err(_)) | Err(_) => member.traffic.failed(),
            }
        }
        Err(self.attempts.all_failed())
    }
}
