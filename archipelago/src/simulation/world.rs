//! The world: time, events, messages, and what must hold.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use super::defect::Defect;
use super::postgres::{Millis, Point, Postgres};
use super::process::{Member, Process, REGIONS};
use super::request::{Exchange, Outcome, Phase, Request};
use super::step::{PROCESSES, SERVERS, Step, VISITORS, Visit, Write};
use super::visitor::{Cookies, Visitor, cookies};
use crate::cluster::{ANSWER_LIMIT, SHORTEST};
use crate::error::DownReason;
use crate::position::Position;
use crate::read::{Progress, Wanted};
use crate::region::Role;
use crate::server::{NotFresh, Requirement, ServerIdentity, ServerReport};
use crate::visitor::{Brought, Session};

/// How far behind the primary a read may be.
const MAX_LAG: Millis = 5000;

/// What a freshness is judged with.
const SLACK: Millis = 300;

/// How long an operation waits for an election, or for a connection.
const LIMIT: Millis = 3000;

/// After so long a late answer of a server counts as none.
const LATE: Millis = 1250;

/// Logs and replay move on in such steps.
const TICK: Millis = 20;

/// How long a process needs to notice what is in its reach: a background question, a pause after a
/// failure, and the way.
const NOTICES: Millis = 8000;

/// After a lost primary a process waits for it so long. Shorter than the decision's own limit.
const AWAITS: Millis = 55_000;

/// Within this time reads and writes work again once nothing is wrong any more.
const RECOVERS: Millis = 15_000;

#[derive(Clone, Copy)]
enum Event {
    /// The monitor of a process asks a member.
    Ask {
        process: usize,
        epoch: u32,
        member: usize,
        token: u32,
    },
    AskArrives {
        process: usize,
        epoch: u32,
        member: usize,
        token: u32,
        asked: Millis,
    },
    AskEnds {
        process: usize,
        epoch: u32,
        member: usize,
        token: u32,
        asked: Millis,
        end: AskEnd,
    },
    /// A message of a request.
    Message {
        request: usize,
        token: u32,
        message: Message,
    },
    /// The answer to a request reaches its visitor.
    Arrives {
        request: usize,
    },
}

#[derive(Clone, Copy)]
enum AskEnd {
    Reply(ServerIdentity, ServerReport),
    Silent,
    Unreachable,
}

#[derive(Clone, Copy)]
enum Message {
    Arrives,
    IsDone,
    Returns,
    Fails,
    /// Time is over.
    Expires,
}

struct Entry(Millis, u64, Event);

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

pub(super) struct World {
    base: Instant,
    now: Millis,
    ticked: Millis,
    sent: u64,
    events: BinaryHeap<Reverse<Entry>>,
    postgres: Postgres,
    processes: Vec<Process>,
    visitors: Vec<Visitor>,
    requests: Vec<Request>,
    answers: Vec<(usize, Option<Point>, Cookies)>,
    is_cut: [[bool; SERVERS]; PROCESSES],
    /// The server that the operator means to be the primary.
    truth: usize,
    defect: Option<Defect>,
    /// Requests and questions that were answered.
    pub(super) operations: u64,
    pub(super) violation: Option<String>,
    pub(super) story: Option<Vec<String>>,
}

impl World {
    pub(super) fn new(defect: Option<Defect>, tells: bool) -> Self {
        // A replica's commit may be older than the simulation.
        let base = Instant::now() + Duration::from_hours(1);
        let mut world = Self {
            base,
            now: 0,
            ticked: 0,
            sent: 0,
            events: BinaryHeap::new(),
            postgres: Postgres::new(SERVERS, base),
            processes: Vec::new(),
            visitors: vec![Visitor::default(); VISITORS],
            requests: Vec::new(),
            answers: Vec::new(),
            is_cut: Default::default(),
            truth: 0,
            defect,
            operations: 0,
            violation: None,
            story: tells.then(Vec::new),
        };
        for process in 0..PROCESSES {
            let started = world.process(process, 0);
            world.processes.push(started);
            world.begin_to_ask(process);
        }
        world
    }

    fn process(&self, process: usize, epoch: u32) -> Process {
        let safeguards = Defect::safeguards(self.defect);
        // Each lives with a replica, at first.
        Process::new(process + 1, epoch, safeguards, self.at(self.now))
    }

    fn at(&self, time: Millis) -> Instant {
        self.base + Duration::from_millis(time)
    }

    fn tell(&mut self, line: impl FnOnce(&Self) -> String) {
        if self.story.is_some() {
            let line = format!("{:>8.3} s  {}", seconds(self.now), line(self));
            self.story.as_mut().into_iter().for_each(|story| story.push(line.clone()));
        }
    }

    fn violate(&mut self, what: String) {
        if self.violation.is_none() {
            self.tell(|_| format!("VIOLATION: {what}"));
            self.violation = Some(what);
        }
    }

    fn send(&mut self, after: Millis, event: Event) {
        self.sent += 1;
        self.events.push(Reverse(Entry(self.now + after, self.sent, event)));
    }

    /// The time of a message between a process and a server.
    fn way(&self, process: usize, server: usize) -> Millis {
        let distance = self.processes[process].home().abs_diff(server) as u64;
        let jitter = self.sent.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 60;
        1 + 30 * distance + jitter * distance / 2
    }

    /// Lets time pass.
    pub(super) fn wait(&mut self, time: Millis) {
        let until = self.now + time;
        while self.violation.is_none()
            && let Some(Reverse(Entry(at, ..))) = self.events.peek()
            && *at <= until
        {
            let Some(Reverse(Entry(at, _, event))) = self.events.pop() else { break };
            self.tick_until(at);
            self.now = at;
            self.handle(event);
        }
        self.tick_until(until);
        self.now = until;
    }

    fn tick_until(&mut self, until: Millis) {
        while self.ticked + TICK <= until {
            self.ticked += TICK;
            self.postgres.tick(self.ticked);
        }
        self.note_evidence();
    }

    /// Notes what each process can know of the primary.
    fn note_evidence(&mut self) {
        let has_rival = self.has_rival();
        let own = self.postgres.name(self.postgres.servers[self.truth].end);
        let has_newer = self.postgres.servers.iter().any(|server| {
            let name = self.postgres.name(server.end);
            server.is_replica && name.system == own.system && name.timeline > own.timeline
        });
        for process in 0..PROCESSES {
            let is_near = |server: usize| {
                self.postgres.servers[server].is_up && !self.is_cut[process][server]
            };
            // Where a replica stays on a newer timeline than the primary, writes stop on purpose.
            let is_complete = (0..SERVERS).all(is_near) && !has_newer;
            let is_followed = (0..SERVERS)
                .any(|server| is_near(server) && self.postgres.streams_from(server, self.truth));
            let is_evident = is_near(self.truth) && is_followed;
            let now = self.now;
            let must_know = self.must_know(process);
            let process = &mut self.processes[process];
            process.is_astray = has_rival && (process.is_astray || !must_know);
            let (is_complete, is_evident) =
                (is_complete && !process.is_astray, is_evident && !process.is_astray);
            let since = process.complete_since.unwrap_or(now);
            process.complete_since = is_complete.then_some(since);
            let since = process.evident_since.unwrap_or(now);
            process.evident_since = is_evident.then_some(since);
            if is_evident && now - since >= NOTICES {
                process.was_evident = Some(now);
            }
        }
    }

    /// Whether another server takes writes on the primary's own timeline.
    fn has_rival(&self) -> bool {
        let own = self.postgres.name(self.postgres.servers[self.truth].end);
        (0..SERVERS).any(|server| {
            let rival = &self.postgres.servers[server];
            let name = self.postgres.name(rival.end);
            server != self.truth
                && !rival.is_replica
                && (name.system, name.timeline) == (own.system, own.timeline)
        })
    }

    /// Whether a process must know the primary.
    fn must_know(&self, process: usize) -> bool {
        let known = &self.processes[process];
        !known.is_astray && known.was_evident.is_some_and(|at| self.now - at < AWAITS)
    }

    /// The primary has changed: what was evident is not any more.
    fn set_truth(&mut self, server: usize) {
        self.truth = server;
        self.forget_evidence();
    }

    /// A server ends: what was in reach is not any more.
    fn interrupt(&mut self) {
        self.processes.iter_mut().for_each(|process| process.complete_since = None);
    }

    fn forget_ahead(&mut self, server: usize) {
        for process in &mut self.processes {
            process.seen_ahead[server] = None;
            process.knows_ahead[server] = false;
        }
    }

    fn forget_evidence(&mut self) {
        for process in &mut self.processes {
            process.evident_since = None;
            process.was_evident = None;
            process.complete_since = None;
            process.seen_ahead = Default::default();
            process.knows_ahead = Default::default();
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Ask { process, epoch, member, token }
                if self.is_current(process, epoch, member, token) =>
            {
                self.ask(process, member);
            }
            Event::AskArrives { process, epoch, member, token, asked }
                if self.is_current(process, epoch, member, token) =>
            {
                self.ask_arrives(process, member, asked);
            }
            Event::AskEnds { process, epoch, member, token, asked, end }
                if self.is_current(process, epoch, member, token) =>
            {
                self.ask_ends(process, member, asked, end);
            }
            Event::Message { request, token, message } => {
                let Request { epoch, visit, .. } = self.requests[request];
                let is_current = self.requests[request].token == token
                    && self.processes[visit.process].epoch == epoch;
                if is_current {
                    self.message(request, message);
                    self.wake(visit.process);
                }
            }
            Event::Arrives { request } => self.arrives(request),
            _ => {}
        }
    }
}

/// The monitor.
impl World {
    fn is_current(&self, process: usize, epoch: u32, member: usize, token: u32) -> bool {
        let process = &self.processes[process];
        process.epoch == epoch && process.members[member].token == token
    }

    fn begin_to_ask(&mut self, process: usize) {
        (0..SERVERS).for_each(|member| self.ask_after(process, member, 0));
    }

    /// The monitor asks after a pause; an earlier plan is dropped.
    fn ask_after(&mut self, process: usize, member: usize, pause: Millis) {
        let epoch = self.processes[process].epoch;
        let known = &mut self.processes[process].members[member];
        known.token += 1;
        let token = known.token;
        self.send(pause, Event::Ask { process, epoch, member, token });
    }

    fn is_reachable(&self, process: usize, server: usize) -> bool {
        !self.is_cut[process][server]
    }

    fn ask(&mut self, process: usize, member: usize) {
        let epoch = self.processes[process].epoch;
        let known = &mut self.processes[process].members[member];
        (known.waits_since, known.is_suspect) = (None, false);
        let token = known.token;
        let (asked, way) = (self.now, self.way(process, member));
        let limit = millis(ANSWER_LIMIT) + 4 * way;
        if !self.is_reachable(process, member) {
            let end = AskEnd::Silent;
            self.send(limit, Event::AskEnds { process, epoch, member, token, asked, end });
        } else if self.postgres.servers[member].is_up {
            self.send(way, Event::AskArrives { process, epoch, member, token, asked });
        } else {
            let end = AskEnd::Unreachable;
            self.send(2 * way, Event::AskEnds { process, epoch, member, token, asked, end });
        }
    }

    fn ask_arrives(&mut self, process: usize, member: usize, asked: Millis) {
        let known = &self.processes[process];
        let (epoch, token) = (known.epoch, known.members[member].token);
        let way = self.way(process, member);
        let is_reachable = self.is_reachable(process, member);
        let is_up = self.postgres.servers[member].is_up;
        let (after, end) = if !is_reachable {
            (millis(ANSWER_LIMIT), AskEnd::Silent)
        } else if !is_up {
            (way, AskEnd::Unreachable)
        } else {
            self.beat(process, member);
            let report = self.postgres.report(member, asked, self.now);
            (way, AskEnd::Reply(self.postgres.identity(member), report))
        };
        self.send(after, Event::AskEnds { process, epoch, member, token, asked, end });
    }

    /// One instance has the primary commit an empty message.
    fn beat(&mut self, process: usize, member: usize) {
        let Process { cluster, members, .. } = &self.processes[process];
        let is_own = process == 0
            && cluster.leader_index() == member
            && cluster.elections().has_begun
            && !self.postgres.servers[member].is_replica;
        let identity = self.postgres.identity(member);
        let state = members[member].monitor.filter(|(started, _)| *started == identity.started);
        let is_rival = state.is_some_and(|(_, state)| cluster.is_rival(member, identity, &state));
        if is_own && state.is_some() && !is_rival {
            self.postgres.commit(member, self.now, 0, true);
        }
    }

    fn ask_ends(&mut self, process: usize, member: usize, asked: Millis, end: AskEnd) {
        let (then, now) = (self.at(asked), self.at(self.now));
        let way = self.way(process, member);
        let is_cut = !self.is_reachable(process, member);
        let defect = self.defect;
        let known = &mut self.processes[process];
        let reason = match end {
            AskEnd::Reply(..) if is_cut => DownReason::Silent { waited: ANSWER_LIMIT },
            AskEnd::Reply(identity, ..)
                if defect == Some(Defect::ForeignForEver)
                    && known.cluster.leadership.is_foreign(identity.system) =>
            {
                DownReason::ForeignDatabase
            }
            AskEnd::Reply(identity, report) => {
                self.operations += 1;
                let is_lost = report.is_replica
                    && !self.postgres.contains(
                        self.postgres.servers[self.truth].end,
                        self.postgres.servers[member].end,
                    );
                if is_lost && known.seen_ahead[member].is_none() {
                    known.seen_ahead[member] = Some((report.lsn, asked));
                }
                for server in 0..SERVERS {
                    known.knows_ahead[server] |= member == self.truth
                        && known.cluster.leader_index() == member
                        && known.seen_ahead[server]
                            .is_some_and(|(lsn, then)| lsn > report.lsn && then < asked);
                }
                let connection = &mut known.members[member].monitor;
                let before = connection.filter(|(started, _)| *started == identity.started);
                let before = before.map(|(_, state)| state);
                let state = known.cluster.observe(member, identity, report, before, now);
                *connection = Some((identity.started, state));
                let round_trip = Duration::from_millis(2 * way);
                known.cluster.record_reply(member, (identity, report, state), round_trip, now);
                let is_used = known.cluster.health(member).is_watched()
                    || member == known.cluster.leader_index();
                let pause = match defect {
                    Some(Defect::NoBackground) if !is_used => Duration::from_hours(9),
                    _ => known.cluster.pause(is_used, now),
                };
                known.members[member].waits_since = Some(self.now);
                known.members[member].asked = asked;
                self.ask_after(process, member, millis(pause));
                self.wake(process);
                return;
            }
            AskEnd::Silent => DownReason::Silent { waited: ANSWER_LIMIT },
            AskEnd::Unreachable => DownReason::Unreachable { detail: String::new() },
        };
        known.members[member].monitor = None;
        let pause = known.cluster.record_failure(member, reason, then, now);
        self.ask_after(process, member, millis(pause));
        self.wake(process);
    }

    /// Wakes what waits in a process for an election: the monitor, if one is requested, and requests,
    /// if one has ended.
    fn wake(&mut self, process: usize) {
        for request in 0..self.requests.len() {
            let waiting = &self.requests[request];
            let is_here =
                waiting.visit.process == process && waiting.epoch == self.processes[process].epoch;
            let waits = matches!(
                waiting.phase,
                Phase::AwaitsLeader | Phase::AwaitsTimeline { .. } | Phase::AwaitsElection { .. }
            );
            if is_here && waits {
                self.resume(request);
            }
        }
        let requested = self.processes[process].cluster.requested();
        for member in 0..SERVERS {
            let Member { waits_since, asked, is_suspect, .. } =
                self.processes[process].members[member];
            let Some(since) = waits_since else { continue };
            let is_requested = requested.is_some_and(|requested| requested > self.at(asked));
            if is_requested || is_suspect {
                let earliest = since + millis(SHORTEST);
                let known = &mut self.processes[process].members[member];
                (known.is_suspect, known.waits_since) = (false, None);
                self.ask_after(process, member, earliest.saturating_sub(self.now));
            }
        }
    }
}

/// Requests.
impl World {
    pub(super) fn visit(&mut self, visit: Visit) {
        self.tidy();
        let visitor = &self.visitors[visit.visitor];
        let brought = visitor.brings();
        let process = &self.processes[visit.process];
        let leadership = &process.cluster.leadership;
        let mut session = Session::default();
        let cookie = |position: &Position| Brought { position: *position, cookie: None };
        session.set_brought(brought.iter().map(cookie).collect());
        let system = leadership.view().system;
        let limit = Requirement::at_most(Duration::from_millis(MAX_LAG));
        let requirement = session.freshness(system).map_or(limit, |known| limit.and(known));
        let home = process.home();
        self.requests.push(Request {
            visit,
            session,
            brought,
            requirement,
            begun: self.now,
            system: process.cluster.leadership.view().system,
            known: visitor.knows.clone(),
            epoch: process.epoch,
            token: 0,
            phase: Phase::AwaitsLeader,
            current: home,
            tried: Vec::new(),
            lagging: Vec::new(),
            is_failing_over: false,
            outcome: None,
            was_unknown: false,
            deadline: self.now + LIMIT,
            was_held: false,
            exchange: Exchange::default(),
        });
        let request = self.requests.len() - 1;
        if visit.write.is_some() {
            self.await_leader(request);
        } else {
            self.begin_read(request);
        }
        self.wake(visit.process);
    }

    /// Forgets requests once none is under way.
    fn tidy(&mut self) {
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

    fn process_of(&self, request: usize) -> &Process {
        &self.processes[self.requests[request].visit.process]
    }

    /// As `read/run.rs` does.
    fn begin_read(&mut self, request: usize) {
        let process = self.process_of(request);
        let home = process.home();
        let cluster = &process.cluster;
        let health = cluster.health(home);
        health.mark_watched();
        let is_known = home != cluster.leader_index() || cluster.elections().has_begun;
        let is_lagging = health.lag_over(Duration::from_millis(MAX_LAG)).is_some();
        if is_known && !is_lagging && health.is_up() {
            self.ask_member(request, home);
        } else {
            self.fail_over(request, None);
        }
    }

    /// Begins a phase; messages of earlier ones are late.
    fn begin(&mut self, request: usize, phase: Phase) -> u32 {
        let request = &mut self.requests[request];
        request.phase = phase;
        request.token += 1;
        request.token
    }

    fn post(&mut self, request: usize, after: Millis, message: Message) {
        let token = self.requests[request].token;
        self.send(after, Event::Message { request, token, message });
    }

    /// Sends a read, or a statement, to a member.
    fn ask_member(&mut self, request: usize, member: usize) {
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
        let mut exchange = Exchange {
            asked: self.now,
            started: connection.map(|(of, _)| of),
            ..Exchange::default()
        };
        if let Some((started, state)) = *connection {
            let identity = ServerIdentity { started, ..self.postgres.identity(member) };
            let cluster = &known.cluster;
            if is_write && cluster.is_rival(member, identity, &state) {
                *connection = None;
                exchange.started = None;
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

    fn message(&mut self, request: usize, message: Message) {
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
        let is_other = exchange.started.is_some_and(|started| started != server.started);
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
            (Message::Arrives, Some(_)) if exchange.started.is_none() => {
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

    fn commit(&mut self, request: usize, write: Write) {
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

    /// A read that was answered: judged as `connection/request.rs` does.
    fn read_returns(&mut self, request: usize) {
        let (now, member) = (self.at(self.now), self.requests[request].current);
        let Request { exchange, requirement, visit, .. } = &self.requests[request];
        let (exchange, requirement) = (*exchange, *requirement);
        let requirement = match self.requests[request].phase {
            Phase::AsksStale => Requirement { at_most: None, ..requirement },
            _ => requirement,
        };
        let process = &mut self.processes[visit.process];
        let (Some(ahead), Some(behind)) = (exchange.ahead, exchange.behind) else { return };
        let connection = process.members[member].reading;
        let mut state = connection.filter(|(of, _)| *of == ahead.0.started).map(|(_, state)| state);
        let mut not_fresh = None;
        for (index, (identity, report)) in [ahead, behind].into_iter().enumerate() {
            if index == 0 && exchange.is_known_fresh && state.is_some() {
                continue;
            }
            let after = process.cluster.observe(member, identity, report, state, now);
            state = Some(after);
            let met = process.cluster.health(member).meets(requirement, identity, &after, now);
            not_fresh = not_fresh.or(met.err());
        }
        let Some(state) = state else { return };
        process.members[member].reading = Some((ahead.0.started, state));
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

    fn failed(&mut self, request: usize) {
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
        if self.requests[request].exchange.started.is_some() {
            // Uncertain: never sent again.
            self.end(request, "its write is uncertain");
        } else {
            self.hold_election(request);
        }
    }

    fn read_ends(&mut self, request: usize, outcome: Outcome) {
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
    fn fail_over(&mut self, request: usize, outcome: Option<Outcome>) {
        self.requests[request].outcome = outcome;
        if self.requests[request].is_failing_over {
            self.try_members(request);
            return;
        }
        self.requests[request].is_failing_over = true;
        self.await_leader(request);
    }

    fn await_leader(&mut self, request: usize) {
        let has_begun = self.process_of(request).cluster.elections().has_begun;
        self.requests[request].was_unknown = !has_begun;
        self.requests[request].deadline = self.now + LIMIT;
        self.begin(request, Phase::AwaitsLeader);
        self.post(request, LIMIT, Message::Expires);
        self.resume(request);
    }

    /// Goes on with a request that waits, if what it waits for has come, or time is over.
    fn resume(&mut self, request: usize) {
        let now = self.at(self.now);
        let Request { phase, deadline, .. } = self.requests[request];
        let cluster = &self.process_of(request).cluster;
        match phase {
            Phase::AwaitsLeader if cluster.elections().has_begun || self.now >= deadline => {
                self.vet_position(request);
            }
            Phase::AwaitsTimeline { since, seen, until } => {
                let has_ended = cluster.has_ended(seen, since, now);
                if has_ended || self.now >= until {
                    let position = self.requests[request].requirement.at_least;
                    let is_dropped = has_ended
                        && position.is_some_and(|position| cluster.leadership.drops(position));
                    self.is_vetted(request, is_dropped);
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

    /// As `Cluster::drops`.
    fn vet_position(&mut self, request: usize) {
        let process = self.requests[request].visit.process;
        let known = &self.processes[process];
        let leadership = &known.cluster.leadership;
        match self.requests[request].requirement.at_least {
            Some(position) if leadership.is_unknown(position) => {
                if self.defect == Some(Defect::Rumours) {
                    self.is_vetted(request, true);
                    return;
                }
                let (since, seen) = (self.at(self.now), known.cluster.elections());
                known.cluster.request_election(since);
                let until = self.now + LIMIT;
                self.begin(request, Phase::AwaitsTimeline { since, seen, until });
                self.post(request, LIMIT, Message::Expires);
            }
            _ => self.is_vetted(request, false),
        }
    }

    fn is_vetted(&mut self, request: usize, is_dropped: bool) {
        let waiting = &mut self.requests[request];
        if is_dropped {
            waiting.requirement.at_least = None;
        }
        if waiting.visit.write.is_some() {
            waiting.deadline = self.now + LIMIT;
            self.write(request);
            return;
        }
        let was_premature = waiting.was_unknown || is_dropped;
        if was_premature && matches!(waiting.outcome, Some(Outcome::NotFresh(_))) {
            waiting.outcome = None;
        }
        waiting.phase = Phase::Asks;
        self.try_members(request);
    }

    fn try_members(&mut self, request: usize) {
        loop {
            let process = self.requests[request].visit.process;
            let Process { cluster, order, members, .. } = &mut self.processes[process];
            let waiting = &mut self.requests[request];
            let current = waiting.current;
            let health = cluster.health(current);
            health.mark_watched();
            let mut was_behind = false;
            let limit = waiting.requirement.at_most;
            let is_lagging = limit.and_then(|limit| health.lag_over(limit)).is_some();
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
            let wanted = if was_behind { Wanted::PrimaryFirst } else { Wanted::Any };
            let (leader, tried) = (cluster.leader_index(), &*waiting.tried);
            match (Progress { order, leader, tried }).next(wanted) {
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

    fn ask_stale(&mut self, request: usize) {
        let allows = self.requests[request].visit.allows_stale;
        match self.requests[request].lagging.pop().filter(|_| allows) {
            Some(member) => self.ask_member(request, member),
            None => self.end(request, "no server can answer it"),
        }
    }

    /// As `Primary::checkout`.
    fn write(&mut self, request: usize) {
        let cluster = &self.process_of(request).cluster;
        match cluster.writable_leader(self.requests[request].requirement.at_least) {
            Ok(member) => self.ask_member(request, member),
            Err(_) => self.hold_election(request),
        }
    }

    fn hold_election(&mut self, request: usize) {
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

    fn statement_returns(&mut self, request: usize) {
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

    fn answer_write(&mut self, request: usize, point: Point) {
        self.operations += 1;
        let Request { visit, current, .. } = &self.requests[request];
        let (visit, server) = (*visit, *current);
        self.tell(|world| {
            let at = world.postgres.name(point);
            format!("{} writes at {}: {at}", world.who(&visit), REGIONS[server])
        });
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

    fn answer_read(&mut self, request: usize, role: Role, position: Position, is_stale: bool) {
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
        self.judge_read(request, shown, is_stale);
        self.finish(request, Some(shown));
    }

    /// A request fails.
    fn end(&mut self, request: usize, why: &str) {
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
        let is_certain = visit.write.is_none() || self.requests[request].exchange.started.is_none();
        if is_certain
            && !process.is_astray
            && is_long(process.complete_since)
            && is_long(process.evident_since)
        {
            let what = format!("{} fails, though every server is in reach", self.who(&visit));
            self.violate(what);
        }
        self.finish(request, None);
    }

    fn finish(&mut self, request: usize, shown: Option<Point>) {
        self.begin(request, Phase::Ended);
        let Request { visit, session, brought, .. } = &self.requests[request];
        let is_lost = visit.write.is_some_and(|write| write.is_unanswered);
        let (late, cookies) = (visit.late, cookies(session, brought.clone()));
        if shown.is_some() && !is_lost {
            self.answers.push((request, shown, cookies));
            self.send(late, Event::Arrives { request });
        }
    }

    fn arrives(&mut self, request: usize) {
        let visit = self.requests[request].visit;
        let found = self.answers.iter().position(|(of, ..)| *of == request);
        let Some(index) = found else { return };
        let (_, shown, cookies) = self.answers.swap_remove(index);
        let visitor = &mut self.visitors[visit.visitor];
        visitor.receive(&cookies, self.defect == Some(Defect::OneCookie));
        if let Some(shown) = shown {
            visitor.learn(shown, &self.postgres);
        }
    }

    fn who(&self, visit: &Visit) -> String {
        let name = ["Ada", "Bob"][visit.visitor];
        let request = if visit.write.is_some() { "write" } else { "read" };
        format!("{name}'s {request} in {}", REGIONS[self.processes[visit.process].home()])
    }
}

/// What must hold.
impl World {
    /// Whether a point is in the history of the primary.
    fn is_promised(&self, point: Point) -> bool {
        self.postgres.contains(self.postgres.servers[self.truth].end, point)
    }

    fn judge_read(&mut self, request: usize, shown: Point, is_stale: bool) {
        let Request { visit, known, begun, current, system, exchange, .. } =
            &self.requests[request];
        // It has adopted another database meanwhile.
        if self.processes[visit.process].cluster.leadership.view().system != *system {
            return;
        }
        let (process, server, begun) = (visit.process, *current, *begun);
        let exchange = *exchange;
        let who = self.who(visit);
        let was_primary = exchange.behind.is_some_and(|(_, report)| !report.is_replica);
        let is_of_primary = !(was_primary && server != self.truth)
            && self.postgres.is_on_line(self.postgres.servers[self.truth].end, shown);
        let must_know = self.must_know(process);
        // A history with the same numbers is told by the numbers that a process has seen.
        let is_mixed = !is_of_primary && {
            let named = self.postgres.name(self.postgres.servers[self.truth].end);
            let own = self.postgres.name(shown);
            (named.system, named.timeline) == (own.system, own.timeline)
                && exchange.behind.is_some_and(|(_, report)| report.is_replica)
        };
        let must_know = must_know && (!is_mixed || self.processes[process].knows_ahead[server]);
        let missing = known
            .iter()
            .find(|known| self.is_promised(**known) && !self.postgres.contains(shown, **known));
        // The positions of two histories cannot both be carried.
        let knows_other = known.iter().any(|known| !self.is_promised(*known));
        if let Some(missing) = missing
            && !knows_other
            && (is_of_primary || must_know)
        {
            let (at, missing) = (self.postgres.name(shown), self.postgres.name(*missing));
            self.violate(format!("{who} shows {at}, after the visitor has seen {missing}"));
            return;
        }
        if was_primary && server != self.truth && must_know {
            let (region, primary) = (REGIONS[server], REGIONS[self.truth]);
            self.violate(format!("{who} is answered by {region}, and {primary} is the primary"));
            return;
        }
        let cluster = &self.processes[process].cluster;
        let is_skewed =
            self.postgres.servers[server].skew < self.postgres.servers[self.truth].skew - 100;
        let is_known_skewed = cluster.health(server).clock_skew(self.at(self.now)).is_some();
        let is_judged = !is_stale
            && !self.processes[process].is_astray
            && (is_of_primary || must_know)
            && (!is_skewed || is_known_skewed)
            && begun > MAX_LAG + SLACK;
        if is_judged {
            let until = begun - MAX_LAG - SLACK;
            let end = self.postgres.servers[self.truth].end;
            if let Some(at) = self.postgres.missing(shown, end, until) {
                let age = seconds(begun - at);
                self.violate(format!("{who} misses a commit that is {age:.1} s old"));
            }
        }
    }
}

/// What befalls the world.
impl World {
    pub(super) fn run(&mut self, step: Step) {
        match step {
            Step::Wait(time) => self.wait(time),
            Step::Visit(visit) => self.visit(visit),
            fault => self.befall(fault),
        }
    }

    #[allow(clippy::too_many_lines)]
    fn befall(&mut self, fault: Step) {
        let truth = self.truth;
        let postgres = &mut self.postgres;
        let is_up = |server: usize| postgres.servers[server].is_up;
        match fault {
            Step::Crash(server) if is_up(server) => {
                postgres.crash(server);
                self.interrupt();
                self.tell(|_| format!("{} crashes", REGIONS[server]));
            }
            Step::Start(server) if !is_up(server) => {
                postgres.start(server);
                // A restart cannot be told from a rebuild.
                self.forget_ahead(server);
                self.tell(|_| format!("{} starts", REGIONS[server]));
            }
            Step::Cut { process, server } if !self.is_cut[process][server] => {
                self.is_cut[process][server] = true;
                let home = REGIONS[self.processes[process].home()];
                self.tell(|_| format!("the process in {home} is cut off from {}", REGIONS[server]));
            }
            Step::Heal { process, server } if self.is_cut[process][server] => {
                self.is_cut[process][server] = false;
                let home = REGIONS[self.processes[process].home()];
                self.tell(|_| format!("the process in {home} reaches {} again", REGIONS[server]));
            }
            Step::CutReplication(server) if postgres.servers[server].is_linked => {
                postgres.servers[server].is_linked = false;
                self.tell(|_| format!("{} receives nothing", REGIONS[server]));
            }
            Step::HealReplication(server) if !postgres.servers[server].is_linked => {
                postgres.servers[server].is_linked = true;
                self.tell(|_| format!("{} can receive again", REGIONS[server]));
            }
            Step::PauseReplay(server)
                if is_up(server)
                    && postgres.servers[server].is_replica
                    && !postgres.servers[server].is_paused =>
            {
                postgres.servers[server].is_paused = true;
                self.tell(|_| format!("{} pauses its replay", REGIONS[server]));
            }
            Step::ResumeReplay(server) if postgres.servers[server].is_paused => {
                postgres.servers[server].is_paused = false;
                self.tell(|_| format!("{} resumes its replay", REGIONS[server]));
            }
            Step::Lag { server, lag } if postgres.servers[server].lag != lag => {
                postgres.servers[server].lag = lag;
                self.tell(|_| format!("{} lags by {} s", REGIONS[server], seconds(lag)));
            }
            Step::SetClock { server, ahead } if postgres.servers[server].skew != ahead => {
                postgres.servers[server].skew = ahead;
                self.tell(|_| format!("the clock of {} is {ahead} ms ahead", REGIONS[server]));
            }
            Step::RestartProcess(process) => {
                let epoch = self.processes[process].epoch + 1;
                self.processes[process] = self.process(process, epoch);
                let home = REGIONS[process + 1];
                self.tell(|_| format!("the process in {home} is started anew"));
                self.begin_to_ask(process);
            }
            Step::Promote { server, stops_old }
                if is_up(server) && postgres.servers[server].is_replica =>
            {
                self.promote(server, stops_old);
            }
            Step::StartWritable { server, jump }
                if server != truth && postgres.servers[server].is_replica =>
            {
                postgres.restart_writable(server, jump);
                self.tell(|world| {
                    let at = world.postgres.name(world.postgres.servers[server].end);
                    format!("{} starts anew and takes writes: {at}", REGIONS[server])
                });
            }
            Step::Rebuild(server) if server != truth => {
                postgres.rebuild(server, truth);
                self.forget_ahead(server);
                self.tell(|_| format!("{} is rebuilt from {}", REGIONS[server], REGIONS[truth]));
            }
            Step::PutBack { commits, is_older_timeline } => {
                // Copies take their time.
                postgres.crash(truth);
                self.tell(|_| format!("{} is stopped", REGIONS[truth]));
                self.wait(6000);
                self.postgres.put_back(truth, commits, is_older_timeline);
                self.forget_evidence();
                self.tell(|world| {
                    let at = world.postgres.name(world.postgres.servers[truth].end);
                    format!("{} is put back to an older copy: {at}", REGIONS[truth])
                });
            }
            Step::ReplaceAll => {
                postgres.replace_all(truth);
                self.forget_evidence();
                self.tell(|_| "a new database comes behind all URLs".to_owned());
            }
            _ => {}
        }
    }

    fn promote(&mut self, server: usize, stops_old: bool) {
        let old = self.truth;
        let postgres = &mut self.postgres;
        // An operator promotes a replica of the primary, and no other.
        if !postgres.contains(postgres.servers[old].end, postgres.servers[server].end) {
            return;
        }
        if stops_old && postgres.servers[old].is_up {
            postgres.crash(old);
        }
        postgres.promote(server);
        for other in 0..SERVERS {
            if other != server && postgres.servers[other].is_replica {
                postgres.servers[other].upstream = server;
            }
        }
        self.set_truth(server);
        self.tell(|world| {
            let at = world.postgres.name(world.postgres.servers[server].end);
            let state = if stops_old { "stopped" } else { "left as it is" };
            format!("{} is promoted: {at}; {} is {state}", REGIONS[server], REGIONS[old])
        });
    }

    /// Mends everything, and sees whether reads and writes work for every visitor in every process.
    pub(super) fn settle(&mut self) {
        let truth = self.truth;
        self.tell(|_| "everything is mended".to_owned());
        self.is_cut = Default::default();
        let skew = self.postgres.servers[truth].skew;
        for server in &mut self.postgres.servers {
            (server.is_linked, server.is_paused, server.lag) = (true, false, 0);
            server.skew = skew;
        }
        if !self.postgres.servers[truth].is_up {
            self.postgres.start(truth);
        }
        for server in 0..SERVERS {
            let is_well = self.postgres.servers[server].is_up
                && self.postgres.streams_from(server, truth)
                && self.is_promised(self.postgres.servers[server].end);
            if server != truth && !is_well {
                self.postgres.rebuild(server, truth);
            }
        }
        self.wait(RECOVERS + 2000);
        for round in 0..2 {
            for visitor in 0..VISITORS {
                for process in 0..PROCESSES {
                    let write = (round == 0).then_some(Write {
                        removes_files: 0,
                        is_synchronous: true,
                        is_unanswered: false,
                    });
                    let (allows_stale, work, late) = (false, 0, 0);
                    self.visit(Visit { visitor, process, allows_stale, write, work, late });
                    self.wait(1500);
                }
            }
        }
        self.wait(4000);
    }
}

fn millis(time: Duration) -> Millis {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[allow(clippy::cast_precision_loss)]
fn seconds(time: Millis) -> f64 {
    time as f64 / 1000.0
}
