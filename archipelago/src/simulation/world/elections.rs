//! Requests that wait for an election: as `Cluster::replacement_for` and `Cluster::wait_for_leader` do.

use std::time::Duration;

use super::{LIMIT, MAX_LAG, Message, World};
use crate::position::Position;
use crate::server::Requirement;
use crate::simulation::defect::Defect;
use crate::simulation::request::{Outcome, Phase, Request};

impl World {
    pub(super) fn await_leader(&mut self, request: usize) {
        let has_begun = self.process_of(request).cluster.elections().has_begun;
        self.requests[request].was_unknown = !has_begun;
        self.requests[request].deadline = self.now + LIMIT;
        self.begin(request, Phase::AwaitsLeader);
        self.post(request, LIMIT, Message::Expires);
        self.resume(request);
    }

    /// Goes on with a request that waits, if what it waits for has come, or time is over.
    pub(super) fn resume(&mut self, request: usize) {
        let now = self.at(self.now);
        let Request { phase, deadline, .. } = self.requests[request];
        let cluster = &self.process_of(request).cluster;
        match phase {
            Phase::AwaitsLeader if cluster.elections().has_begun || self.now >= deadline => {
                self.vet_position(request);
            }
            Phase::AwaitsTimeline { since, seen, until, position } => {
                let has_ended = cluster.has_ended(seen, since, now);
                if has_ended || self.now >= until {
                    let instead =
                        cluster.leadership.replacement_for(position).filter(|_| has_ended);
                    self.timeline_is_found(request, instead);
                }
            }
            Phase::AwaitsElection { since, seen } => {
                let has_ended = cluster.has_ended(seen, since, now);
                if has_ended || self.now >= deadline {
                    let changes = cluster.elections().changes;
                    self.requests[request].was_held = !has_ended || changes == seen.changes;
                    self.write(request);
                }
            }
            _ => {}
        }
    }

    /// As `RequestSession::vet`: what the visitor has seen of another history is forgotten.
    pub(super) fn vet(&mut self, request: usize) {
        let Request { session, system, .. } = &self.requests[request];
        match session.position(*system) {
            Some(position) if self.is_unknown(request, position) => {
                self.find_timeline(request, position);
            }
            _ => self.set_out(request),
        }
    }

    /// As `Cluster::replacement_for`, for the required position.
    fn vet_position(&mut self, request: usize) {
        let waiting = &mut self.requests[request];
        if waiting.visit.write.is_some() {
            waiting.deadline = self.now + LIMIT;
            self.write(request);
            return;
        }
        match self.requests[request].requirement.at_least {
            Some(position) if self.is_unknown(request, position) => {
                self.find_timeline(request, position);
            }
            _ => self.is_vetted(request, None),
        }
    }

    fn is_unknown(&self, request: usize, position: Position) -> bool {
        self.process_of(request).cluster.leadership.is_unknown(position)
    }

    /// Holds an election that finds the timeline of a position.
    fn find_timeline(&mut self, request: usize, position: Position) {
        if self.defect == Some(Defect::Rumours) {
            let none = Position { timeline: 0, lsn: 0, ..position };
            self.timeline_is_found(request, Some(none));
            return;
        }
        let (since, cluster) = (self.at(self.now), &self.process_of(request).cluster);
        let seen = cluster.elections();
        cluster.request_election(since);
        let until = self.now + LIMIT;
        self.begin(request, Phase::AwaitsTimeline { since, seen, until, position });
        self.post(request, LIMIT, Message::Expires);
    }

    /// `instead` where the position is of another history.
    fn timeline_is_found(&mut self, request: usize, instead: Option<Position>) {
        let waiting = &mut self.requests[request];
        if waiting.has_set_out {
            self.is_vetted(request, instead);
            return;
        }
        if let Some(instead) = instead {
            waiting.session.replace_brought(instead);
        }
        self.set_out(request);
    }

    /// Sends the request on its way, with what it requires.
    fn set_out(&mut self, request: usize) {
        let waiting = &mut self.requests[request];
        waiting.has_set_out = true;
        let limit = Requirement::at_most(Duration::from_millis(MAX_LAG));
        let known = waiting.session.freshness(waiting.system);
        waiting.requirement = known.map_or(limit, |known| limit.and(known));
        match waiting.visit.write {
            Some(_) => self.await_leader(request),
            None => self.begin_read(request),
        }
    }

    pub(super) fn is_vetted(&mut self, request: usize, instead: Option<Position>) {
        let waiting = &mut self.requests[request];
        waiting.requirement.at_least = instead.or(waiting.requirement.at_least);
        let was_premature = waiting.was_unknown || instead.is_some();
        if was_premature && matches!(waiting.outcome, Some(Outcome::NotFresh(_))) {
            waiting.outcome = None;
        }
        waiting.phase = Phase::Asks;
        self.try_members(request);
    }
}
