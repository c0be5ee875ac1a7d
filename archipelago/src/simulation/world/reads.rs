//! A read, from one member to the next: as `read/run.rs` and `read/failover.rs` do.

use std::time::Duration;

use super::{MAX_LAG, World};
use crate::position::Position;
use crate::read::{Progress, Wanted};
use crate::region::Role;
use crate::server::{NotFresh, Requirement, ServerState};
use crate::simulation::process::{Process, REGIONS};
use crate::simulation::request::{Outcome, Phase, Request};

impl World {
    /// As `read/run.rs` does.
    pub(super) fn begin_read(&mut self, request: usize) {
        let process = self.process_of(request);
        let home = process.home();
        let cluster = &process.cluster;
        let (health, now) = (cluster.health(home), self.at(self.now));
        health.mark_watched();
        let is_known = home != cluster.leader_index() || cluster.elections().has_begun;
        let is_lagging = cluster.lags_over(home, Duration::from_millis(MAX_LAG), now);
        if is_known && !is_lagging && health.is_up() {
            self.ask_member(request, home);
        } else {
            self.fail_over(request, None);
        }
    }

    /// A read that was answered: judged as `connection/request.rs` does.
    pub(super) fn read_returns(&mut self, request: usize) {
        let (now, member) = (self.at(self.now), self.requests[request].current);
        let Request { exchange, requirement, visit, .. } = &self.requests[request];
        let (exchange, requirement) = (*exchange, *requirement);
        let requirement = match self.requests[request].phase {
            Phase::AsksStale => Requirement { at_most: None, ..requirement },
            _ => requirement,
        };
        let process = &mut self.processes[visit.process];
        let (Some(ahead), Some(behind)) = (exchange.ahead, exchange.behind) else { return };
        let started = ahead.0.started;
        let is_same = |(of, _): &(i64, ServerState)| *of == started;
        let before = exchange.before.filter(is_same).map(|(_, state)| state);
        let mut observe = |(identity, report)| {
            let state = process.cluster.observe(member, identity, report, before, now);
            let mut kept =
                process.members[member].reading.filter(is_same).unwrap_or((started, state));
            kept.1.advance(state);
            process.members[member].reading = Some(kept);
            let met = process.cluster.health(member).meets(requirement, identity, &state, now);
            (state, met.err())
        };
        let is_asked_ahead = !exchange.is_known_fresh || before.is_none();
        let refused_ahead = is_asked_ahead.then(|| observe(ahead).1).flatten();
        let (state, refused_behind) = observe(behind);
        let not_fresh = refused_ahead.or(refused_behind);
        let outcome = match not_fresh {
            Some(not_fresh) => Outcome::NotFresh(not_fresh),
            None => {
                let system = behind.0.system;
                let (timeline, lsn) = (state.timeline, state.shown());
                Outcome::Answered(state, Position { system, timeline, lsn })
            }
        };
        self.read_ends(request, outcome);
    }

    pub(super) fn read_ends(&mut self, request: usize, outcome: Outcome) {
        match (self.requests[request].phase, outcome) {
            (Phase::AsksStale, Outcome::Answered(state, position)) => {
                self.answer_read(request, state.role, position, true);
            }
            (Phase::AsksStale, _) => self.ask_stale(request),
            (_, Outcome::Answered(state, position)) => {
                self.answer_read(request, state.role, position, false);
            }
            _ => self.fail_over(request, Some(outcome)),
        }
    }

    /// As `read/failover.rs` does.
    pub(super) fn fail_over(&mut self, request: usize, outcome: Option<Outcome>) {
        self.requests[request].outcome = outcome;
        if self.requests[request].is_failing_over {
            self.try_members(request);
            return;
        }
        self.requests[request].is_failing_over = true;
        self.await_leader(request);
    }

    pub(super) fn try_members(&mut self, request: usize) {
        let now = self.at(self.now);
        loop {
            let process = self.requests[request].visit.process;
            let Process { cluster, order, members, .. } = &mut self.processes[process];
            let waiting = &mut self.requests[request];
            let current = waiting.current;
            let health = cluster.health(current);
            health.mark_watched();
            let mut was_behind = false;
            let limit = waiting.requirement.at_most;
            let is_lagging = limit.is_some_and(|limit| cluster.lags_over(current, limit, now));
            let is_untried = !waiting.tried.contains(&current);
            match waiting.outcome.take() {
                Some(Outcome::NotFresh(not_fresh)) => {
                    was_behind = not_fresh == NotFresh::NotReplayed;
                    if not_fresh == NotFresh::TooOld {
                        waiting.lagging.push(current);
                    }
                }
                Some(_) => members[current].is_suspect = true,
                None if health.is_up() && is_untried && is_lagging => {
                    waiting.lagging.push(current);
                }
                None if health.is_up() && is_untried => {
                    self.ask_member(request, current);
                    return;
                }
                None => {}
            }
            waiting.tried.push(current);
            let wanted = if was_behind { Wanted::Fresher } else { Wanted::Any };
            let (leader, tried) = (cluster.leader_index(), &*waiting.tried);
            match (Progress { order, siblings: 1, leader, tried }).next(wanted) {
                Some(next) => waiting.current = next,
                None => {
                    waiting.lagging.reverse();
                    waiting.phase = Phase::AsksStale;
                    self.ask_stale(request);
                    return;
                }
            }
        }
    }

    pub(super) fn ask_stale(&mut self, request: usize) {
        let allows = self.requests[request].visit.allows_stale;
        match self.requests[request].lagging.pop().filter(|_| allows) {
            Some(member) => self.ask_member(request, member),
            None => self.end(request, "no server can answer it"),
        }
    }

    pub(super) fn answer_read(
        &mut self,
        request: usize,
        role: Role,
        position: Position,
        is_stale: bool,
    ) {
        self.operations += 1;
        self.requests[request].session.record_read(position, role);
        let Request { visit, current, exchange, .. } = &self.requests[request];
        let (visit, server, exchange) = (*visit, *current, *exchange);
        let Some(shown) = exchange.shown else { return };
        self.tell(|world| {
            let at = world.postgres.name(shown);
            let stale = if is_stale { ", marked as stale" } else { "" };
            let said = format!("{}-{}-{}", position.system, position.timeline, position.lsn);
            let region = REGIONS[server];
            let who = world.who(&visit);
            format!("{who} reads at {region}: {at}, called {said}{stale}")
        });
        self.judge_database(request);
        self.judge_read(request, shown, is_stale);
        self.finish(request, Some(shown));
    }
}
