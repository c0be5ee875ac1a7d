//! Requests of visitors: how they begin and end, their messages, and the jar.

use std::cmp::Reverse;

use super::{Entry, Event, LATE, LIMIT, Message, RECOVERS, World};
use crate::position::Position;
use crate::server::{Requirement, ServerIdentity};
use crate::simulation::defect::Defect;
use crate::simulation::postgres::{Millis, Point};
use crate::simulation::process::{Process, REGIONS};
use crate::simulation::request::{Exchange, Outcome, Phase, Request};
use crate::simulation::step::{Visit, Write};
use crate::simulation::visitor::cookies;
use crate::visitor::{Brought, SessionData};

impl World {
    pub(super) fn visit(&mut self, visit: Visit) {
        self.tidy();
        let visitor = &self.visitors[visit.visitor];
        let brought = visitor.brings();
        let process = &self.processes[visit.process];
        let mut session = SessionData::default();
        let cookie = |position: &Position| Brought { position: *position, cookie: None };
        session.set_brought(brought.iter().map(cookie).collect());
        let system = process.cluster.leadership.view().system;
        let home = process.home();
        self.requests.push(Request {
            visit,
            session,
            brought,
            requirement: Requirement::ANY,
            begun: self.now,
            system,
            known: visitor.knows.clone(),
            is_alone: self.is_alone(visit.visitor),
            was_misled: visitor.is_misled
                || visitor.knows.iter().any(|known| !self.is_promised(*known)),
            epoch: process.epoch,
            token: 0,
            phase: Phase::AwaitsLeader,
            current: home,
            tried: Vec::new(),
            lagging: Vec::new(),
            has_set_out: false,
            is_failing_over: false,
            outcome: None,
            was_unknown: false,
            deadline: self.now + LIMIT,
            was_held: false,
            exchange: Exchange::default(),
        });
        let request = self.requests.len() - 1;
        self.vet(request);
        self.wake(visit.process);
    }

    /// Forgets requests once none is under way.
    pub(super) fn tidy(&mut self) {
        let has_ended = |request: &Request| {
            request.phase == Phase::Ended
                || self.processes[request.visit.process].epoch != request.epoch
        };
        let is_quiet = self.answers.is_empty() && self.requests.iter().all(has_ended);
        if self.requests.len() > 32 && is_quiet {
            let is_of_request =
                |event: &Event| matches!(event, Event::Message { .. } | Event::Arrives { .. });
            self.events.retain(|Reverse(Entry(.., event))| !is_of_request(event));
            self.requests.clear();
        }
    }

    pub(super) fn process_of(&self, request: usize) -> &Process {
        &self.processes[self.requests[request].visit.process]
    }

    /// Begins a phase; messages of earlier ones are late.
    pub(super) fn begin(&mut self, request: usize, phase: Phase) -> u32 {
        let request = &mut self.requests[request];
        request.phase = phase;
        request.token += 1;
        request.token
    }

    pub(super) fn post(&mut self, request: usize, after: Millis, message: Message) {
        let token = self.requests[request].token;
        self.send(after, Event::Message { request, token, message });
    }

    /// Sends a read, or a statement, to a member.
    pub(super) fn ask_member(&mut self, request: usize, member: usize) {
        let phase = match self.requests[request].phase {
            Phase::AsksStale => Phase::AsksStale,
            _ => Phase::Asks,
        };
        self.begin(request, phase);
        let (process, now) = (self.requests[request].visit.process, self.at(self.now));
        let is_write = self.requests[request].visit.write.is_some();
        let requirement = self.requests[request].requirement;
        let server = &self.postgres.servers[member];
        let (is_up, started) = (server.is_up, server.started);
        let is_cut = !self.is_reachable(process, member);
        let known = &mut self.processes[process];
        let members = &mut known.members[member];
        let connection = if is_write { &mut members.writing } else { &mut members.reading };
        // A server that ends closes its sockets; a cut line does not.
        if connection.is_some_and(|(of, _)| of != started || !is_up) && !is_cut {
            *connection = None;
        }
        let mut exchange = Exchange { asked: self.now, before: *connection, ..Exchange::default() };
        if let Some((started, state)) = *connection {
            let identity = ServerIdentity { started, ..self.postgres.identity(member) };
            let cluster = &known.cluster;
            if is_write && cluster.is_rival(member, identity, &state) {
                *connection = None;
                exchange.before = None;
            } else {
                let met = cluster.health(member).meets(requirement, identity, &state, now);
                exchange.is_known_fresh = met.is_ok();
            }
        }
        let way = self.way(process, member);
        let current = &mut self.requests[request];
        (current.exchange, current.current) = (exchange, member);
        match (is_cut, is_up) {
            (true, _) => self.post(request, LATE, Message::Fails),
            (false, false) => self.post(request, 2 * way, Message::Fails),
            (false, true) => self.post(request, way, Message::Arrives),
        }
    }

    pub(super) fn message(&mut self, request: usize, message: Message) {
        let Visit { process, work, write, .. } = self.requests[request].visit;
        let member = self.requests[request].current;
        if matches!(message, Message::Expires) {
            self.resume(request);
            return;
        }
        if matches!(message, Message::Fails) {
            self.failed(request);
            return;
        }
        if !self.is_reachable(process, member) {
            self.post(request, LATE, Message::Fails);
            return;
        }
        let way = self.way(process, member);
        if matches!(message, Message::Returns) {
            match write {
                Some(_) => self.statement_returns(request),
                None => self.read_returns(request),
            }
            return;
        }
        let Request { exchange, .. } = &self.requests[request];
        let server = &self.postgres.servers[member];
        let is_other = exchange.before.is_some_and(|(started, _)| started != server.started);
        let has_restarted =
            exchange.ahead.is_some_and(|(identity, _)| identity.started != server.started);
        if !server.is_up || is_other || has_restarted {
            self.post(request, way, Message::Fails);
            return;
        }
        let report = self.postgres.report(member, exchange.asked, self.now);
        let said = Some((self.postgres.identity(member), report));
        match (message, write) {
            (Message::Arrives, None) => {
                self.requests[request].exchange.ahead = said;
                self.post(request, work, Message::IsDone);
            }
            (Message::Arrives, Some(_)) if exchange.before.is_none() => {
                // The connection is opened first.
                self.requests[request].exchange.ahead = said;
                self.post(request, way, Message::Returns);
            }
            (Message::Arrives, Some(write)) => self.commit(request, write),
            _ => {
                let shown = self.postgres.shown(member);
                let now = self.now;
                let exchange = &mut self.requests[request].exchange;
                (exchange.behind, exchange.shown, exchange.shown_at) = (said, Some(shown), now);
                self.post(request, way, Message::Returns);
            }
        }
    }

    pub(super) fn commit(&mut self, request: usize, write: Write) {
        let Visit { process, .. } = self.requests[request].visit;
        let member = self.requests[request].current;
        let way = self.way(process, member);
        if self.postgres.servers[member].is_replica {
            self.post(request, way, Message::Fails);
            return;
        }
        let (point, lsn) =
            self.postgres.commit(member, self.now, write.removes_files, write.is_synchronous);
        let exchange = &mut self.requests[request].exchange;
        (exchange.shown, exchange.committed) = (Some(point), Some(lsn));
        exchange.shown_at = self.now;
        self.post(request, way, Message::Returns);
    }

    /// A read that was answered: judged as `connection/request.rs` does.    /// A request fails.
    pub(super) fn end(&mut self, request: usize, why: &str) {
        let visit = self.requests[request].visit;
        self.tell(|world| {
            let view = world.process_of(request).cluster.leadership.view();
            let wanted = world.requests[request].requirement.at_least;
            let wanted = wanted.map_or(String::new(), |it| format!(", it requires {it}"));
            let led = view.leader.map_or("none", |leader| leader.region);
            let (who, newest) = (world.who(&visit), view.newest);
            format!("{who} fails: {why}{wanted}; {led} leads, and {newest} is the newest timeline")
        });
        let process = &self.processes[visit.process];
        let is_long = |since: Option<Millis>| {
            since.is_some_and(|since| self.requests[request].begun > since + RECOVERS)
        };
        let is_certain = visit.write.is_none() || self.requests[request].exchange.before.is_none();
        if is_certain
            && !process.is_astray()
            && is_long(process.complete_since)
            && is_long(process.evident_since)
        {
            let what = format!("{} fails, though every server is in reach", self.who(&visit));
            self.violate(what);
        }
        self.finish(request, None);
    }

    pub(super) fn finish(&mut self, request: usize, shown: Option<Point>) {
        self.begin(request, Phase::Ended);
        let Request { visit, session, brought, .. } = &self.requests[request];
        let is_lost = visit.write.is_some_and(|write| write.is_unanswered);
        let (late, cookies) = (visit.late, cookies(session, brought.clone()));
        if shown.is_some() && !is_lost {
            let is_false = self.is_false(request, shown);
            self.answers.push((request, shown, cookies, is_false));
            self.send(late, Event::Arrives { request });
        }
    }

    /// Whether no answer to another request of the visitor is under way.
    fn is_alone(&self, visitor: usize) -> bool {
        let is_theirs = |request: &Request| request.visit.visitor == visitor;
        let mut answers = self.answers.iter().map(|(request, ..)| &self.requests[*request]);
        let mut others = self.requests.iter().filter(|it| it.phase != Phase::Ended);
        !answers.any(is_theirs) && !others.any(is_theirs)
    }

    /// Whether the answer is of another history than the primary's. None where it takes nothing back
    /// that such an answer gave: a replica's, a write's, or one that may overtake another.
    fn is_false(&self, request: usize, shown: Option<Point>) -> Option<bool> {
        let Request { visit, current, exchange, is_alone, was_misled, .. } =
            &self.requests[request];
        let is_write = visit.write.is_some();
        let is_primary = is_write || exchange.behind.is_some_and(|(_, report)| !report.is_replica);
        let end = self.postgres.servers[self.truth].end;
        let is_of_history = shown.is_some_and(|shown| self.postgres.is_on_line(end, shown));
        let is_false = !is_of_history || is_primary && *current != self.truth;
        let takes_back = is_primary && !is_write && *was_misled && *is_alone;
        (is_false || takes_back).then_some(is_false)
    }

    pub(super) fn arrives(&mut self, request: usize) {
        let visit = self.requests[request].visit;
        let found = self.answers.iter().position(|(of, ..)| *of == request);
        let Some(index) = found else { return };
        let (_, shown, cookies, is_false) = self.answers.swap_remove(index);
        // The answer to a later request may bring back what this one takes back.
        let mut later = self.requests[request + 1..].iter();
        let is_last = !later.any(|other| other.visit.visitor == visit.visitor);
        let is_false = is_false.filter(|is_false| *is_false || is_last);
        let end = self.postgres.servers[self.truth].end;
        let visitor = &mut self.visitors[visit.visitor];
        visitor.receive(&cookies, self.defect == Some(Defect::OneCookie));
        if let Some(shown) = shown {
            visitor.learn(shown, &self.postgres);
            visitor.is_misled = is_false.unwrap_or(visitor.is_misled);
            if is_false == Some(false) {
                visitor.knows.retain(|known| self.postgres.contains(end, *known));
            }
        }
    }

    pub(super) fn who(&self, visit: &Visit) -> String {
        let name = ["Ada", "Bob", "Eve"][visit.visitor];
        let request = if visit.write.is_some() { "write" } else { "read" };
        format!("{name}'s {request} in {}", REGIONS[self.processes[visit.process].home()])
    }

    pub(super) fn failed(&mut self, request: usize) {
        let Visit { process, write, .. } = self.requests[request].visit;
        let member = self.requests[request].current;
        let members = &mut self.processes[process].members[member];
        members.is_suspect = true;
        if write.is_none() {
            members.reading = None;
            self.read_ends(request, Outcome::Failed);
            return;
        }
        members.writing = None;
        if self.requests[request].exchange.before.is_some() {
            // Uncertain: never sent again.
            self.end(request, "its write is uncertain");
        } else {
            self.hold_election(request);
        }
    }
}
