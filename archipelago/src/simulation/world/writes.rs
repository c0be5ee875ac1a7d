//! A write, and the elections that it waits for: as `write.rs` does.

use super::{Message, World};
use crate::position::Position;
use crate::region::Role;
use crate::simulation::defect::Defect;
use crate::simulation::postgres::Point;
use crate::simulation::process::REGIONS;
use crate::simulation::request::{Phase, Request};

impl World {
    /// As `Primary::checkout`.
    pub(super) fn write(&mut self, request: usize) {
        let leadership = self.process_of(request).cluster.leadership.clone();
        let is_rumour = self.defect == Some(Defect::Rumours);
        let required = self.requests[request].requirement.at_least.filter(|position| {
            let is_ignored = is_rumour && leadership.is_unknown(*position);
            !is_ignored && leadership.replacement_for(*position).is_none()
        });
        self.requests[request].requirement.at_least = required;
        match self.process_of(request).cluster.writable_leader(required) {
            Ok(member) => self.ask_member(request, member),
            Err(_) => self.hold_election(request),
        }
    }

    pub(super) fn hold_election(&mut self, request: usize) {
        let now = self.now;
        let Request { was_held, deadline, .. } = self.requests[request];
        if was_held || now >= deadline {
            self.end(request, "no primary takes its write");
            return;
        }
        let (since, seen) = (self.at(now), self.process_of(request).cluster.elections());
        self.process_of(request).cluster.request_election(since);
        self.begin(request, Phase::AwaitsElection { since, seen });
        self.post(request, deadline - now, Message::Expires);
    }

    pub(super) fn statement_returns(&mut self, request: usize) {
        let (now, member) = (self.at(self.now), self.requests[request].current);
        let Request { exchange, visit, .. } = &self.requests[request];
        let (exchange, process) = (*exchange, visit.process);
        let known = &mut self.processes[process];
        if let Some(lsn) = exchange.committed {
            let Some((_, state)) = known.members[member].writing else {
                self.end(request, "its write is uncertain");
                return;
            };
            known.cluster.health(member).record_write();
            let Some(point) = exchange.shown else { return };
            let system = self.postgres.name(point).system;
            let position = Position { system, timeline: state.timeline, lsn };
            self.requests[request].session.record_write(position);
            self.answer_write(request, point);
            return;
        }
        // The connection is open.
        let Some((identity, report)) = exchange.ahead else { return };
        let state = known.cluster.observe(member, identity, report, None, now);
        let is_refused =
            state.role == Role::Replica || known.cluster.is_rival(member, identity, &state);
        if is_refused {
            self.hold_election(request);
            return;
        }
        known.members[member].writing = Some((identity.started, state));
        self.ask_member(request, member);
    }

    pub(super) fn answer_write(&mut self, request: usize, point: Point) {
        self.operations += 1;
        let Request { visit, current, .. } = &self.requests[request];
        let (visit, server) = (*visit, *current);
        self.tell(|world| {
            let at = world.postgres.name(point);
            format!("{} writes at {}: {at}", world.who(&visit), REGIONS[server])
        });
        self.judge_database(request);
        if server != self.truth && self.must_know(visit.process) {
            let what = format!(
                "{} took a write of {}, and {} is the primary",
                REGIONS[server],
                self.who(&visit),
                REGIONS[self.truth]
            );
            self.violate(what);
        }
        self.finish(request, Some(point));
    }
}
