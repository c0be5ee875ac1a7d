//! The world: time and events. Its rooms have the rest.

mod elections;
mod faults;
mod monitor;
mod promises;
mod reads;
mod visits;
mod writes;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use super::defect::Defect;
use super::postgres::{Millis, Point, Postgres};
use super::process::Process;
use super::request::Request;
use super::step::{PROCESSES, SERVERS, VISITORS};
use super::visitor::{Cookies, Visitor};
use crate::server::{ServerIdentity, ServerReport};

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

/// How long a replica that is found to be ahead of the primary may still serve: until it is asked
/// itself.
const TAKEN_OUT: Millis = 5000;

/// After a lost primary a process waits for it so long. Shorter than the decision's own limit.
const AWAITS: Millis = 55_000;

/// How long a process may look for a rival that it followed and that is gone: the decision's own
/// limit, and until the process notices.
const AWAITS_RIVAL: Millis = 60_000 + NOTICES;

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
    answers: Vec<(usize, Option<Point>, Cookies, Option<bool>)>,
    is_cut: [[bool; SERVERS]; PROCESSES],
    /// The server that the operator means to be the primary.
    truth: usize,
    /// Whether a clock was ahead. A primary's makes its commits newer until a process hears it.
    was_ahead: bool,
    /// The newest timeline that a primary has had, and its database.
    newest: Option<(u64, u32)>,
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
            was_ahead: false,
            newest: None,
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

fn millis(time: Duration) -> Millis {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[allow(clippy::cast_precision_loss)]
fn seconds(time: Millis) -> f64 {
    time as f64 / 1000.0
}
