//! The simulated servers: a log that is a tree of branches, and servers that are somewhere in it.

use std::fmt;
use std::time::{Duration, Instant};

use crate::server::{LogLayout, ServerIdentity, ServerReport};

/// In milliseconds since the beginning of the simulation.
pub(super) type Millis = u64;

/// How long a commit without `synchronous_commit` is visible at the primary before it is flushed.
const FLUSH_DELAY: Millis = 300;

/// Between two checkpoints.
const CHECKPOINTS: Millis = 60_000;

/// A commit.
#[derive(Clone, Copy, Debug)]
struct Record {
    /// The LSN behind it.
    end: u64,
    at: Millis,
    /// Its time by the clock of the primary.
    clock: i64,
    /// How long a replica takes to remove its files. Meanwhile the commit is visible.
    slow: Millis,
}

/// One history from its fork on. Two branches may have one number: the number is what servers say,
/// and the branch is the truth.
#[derive(Clone, Debug)]
struct Branch {
    system: u64,
    timeline: u32,
    /// The branch that it forks from, and where.
    parent: Option<(usize, u64)>,
    /// Set where a replica streams the log of another branch over its own, because the numbers fit.
    copies: Option<usize>,
    records: Vec<Record>,
}

/// A moment of a history: what a server shows, or what a commit needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) branch: usize,
    pub(super) lsn: u64,
}

/// A server.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) is_up: bool,
    pub(super) is_replica: bool,
    /// The end of its log: what a primary has inserted, and what a replica has received.
    pub(super) end: Point,
    flushed: u64,
    replayed: u64,
    /// What is visible. It is later than `replayed` while a record is in work.
    visible: u64,
    work_until: Option<Millis>,
    last_commit: Option<i64>,
    /// Its timeline at its last checkpoint.
    checkpointed: u32,
    pub(super) started: i64,
    /// Itself where it follows no server.
    pub(super) upstream: usize,
    is_streaming: bool,
    pub(super) is_linked: bool,
    pub(super) is_paused: bool,
    pub(super) lag: Millis,
    /// By how much its clock is ahead.
    pub(super) skew: i64,
}

/// All servers and their history.
#[derive(Clone)]
pub(super) struct Postgres {
    base: Instant,
    branches: Vec<Branch>,
    pub(super) servers: Vec<Server>,
    starts: i64,
    systems: u64,
    /// Whether the login role may see on which timeline a replica is.
    pub(super) sees_timelines: bool,
}

impl Postgres {
    /// The first server is the primary, and the others follow it.
    pub(super) fn new(count: usize, base: Instant) -> Self {
        let first =
            Branch { system: 1, timeline: 1, parent: None, copies: None, records: Vec::new() };
        let mut postgres = Self {
            base,
            branches: vec![first],
            servers: Vec::new(),
            starts: 0,
            systems: 1,
            sees_timelines: true,
        };
        for index in 0..count {
            let started = postgres.next_start();
            postgres.servers.push(Server {
                is_up: true,
                is_replica: index > 0,
                end: Point { branch: 0, lsn: 100 },
                flushed: 100,
                replayed: 100,
                visible: 100,
                work_until: None,
                last_commit: None,
                checkpointed: 1,
                started,
                upstream: 0,
                is_streaming: index > 0,
                is_linked: true,
                is_paused: false,
                lag: 0,
                skew: 0,
            });
        }
        postgres
    }

    fn next_start(&mut self) -> i64 {
        self.starts += 1;
        self.starts
    }

    /// Whether what `shown` shows has all of `wanted`.
    pub(super) fn contains(&self, shown: Point, mut wanted: Point) -> bool {
        // At a fork both branches show the same.
        while let Some((branch, fork)) = self.branches[wanted.branch].parent
            && wanted.lsn <= fork
        {
            wanted.branch = branch;
        }
        self.is_on_line(shown, wanted)
    }

    /// Whether a point lies on the way from the first commit to `end`.
    pub(super) fn is_on_line(&self, end: Point, point: Point) -> bool {
        self.limit(end, point.branch).is_some_and(|limit| point.lsn <= limit)
    }

    /// How far the history of `end` goes along a branch. None if it does not touch it.
    fn limit(&self, end: Point, branch: usize) -> Option<u64> {
        let mut at = end;
        while at.branch != branch {
            let (parent, fork) = self.branches[at.branch].parent?;
            at = Point { branch: parent, lsn: fork.min(at.lsn) };
        }
        Some(at.lsn)
    }

    /// The timeline and the LSN, as a server says them.
    pub(super) fn name(&self, point: Point) -> Named {
        let Branch { system, timeline, .. } = self.branches[point.branch];
        Named { system, timeline, lsn: point.lsn }
    }

    /// Whether a server is a replica that streams from `upstream`.
    pub(super) fn streams_from(&self, index: usize, upstream: usize) -> bool {
        let server = &self.servers[index];
        server.is_replica && server.is_streaming && server.upstream == upstream
    }

    /// Whether a server is a replica that is to stream from `upstream`.
    pub(super) fn follows(&self, index: usize, upstream: usize) -> bool {
        self.servers[index].is_replica && self.servers[index].upstream == upstream
    }

    /// How many replicas stream from a server.
    pub(super) fn followers(&self, index: usize) -> usize {
        let streams =
            |other: &usize| self.servers[*other].is_up && self.streams_from(*other, index);
        (0..self.servers.len()).filter(streams).count()
    }

    /// What a server shows now.
    pub(super) fn shown(&self, index: usize) -> Point {
        let server = &self.servers[index];
        Point { branch: server.end.branch, lsn: server.visible }
    }

    /// The first record behind `after`, up to `limit`.
    fn next_record(&self, branch: usize, after: u64, limit: u64) -> Option<Record> {
        let Branch { parent, records, .. } = &self.branches[branch];
        let before = parent
            .filter(|(_, fork)| after < *fork)
            .and_then(|(parent, fork)| self.next_record(parent, after, limit.min(fork)));
        before.or_else(|| {
            let next = records.partition_point(|record| record.end <= after);
            records.get(next).copied().filter(|record| record.end <= limit)
        })
    }

    /// The time of the newest commit that was made by `until`, and is missing in what is shown.
    pub(super) fn missing(&self, shown: Point, all: Point, until: Millis) -> Option<Millis> {
        let mut common = all;
        while self.limit(shown, common.branch).is_none() {
            let (branch, fork) = self.branches[common.branch].parent?;
            common = Point { branch, lsn: fork.min(common.lsn) };
        }
        common.lsn = self.limit(shown, common.branch)?.min(common.lsn);
        let missing = self.next_record(all.branch, common.lsn, all.lsn);
        missing.map(|record| record.at).filter(|at| *at <= until)
    }

    /// Commits at a primary. Returns what contains the commit, and the position that the server
    /// says.
    pub(super) fn commit(
        &mut self,
        index: usize,
        now: Millis,
        slow: Millis,
        is_synchronous: bool,
    ) -> (Point, u64) {
        let server = &mut self.servers[index];
        // Two histories hardly ever have a record that ends at the same byte.
        server.end.lsn += 10 + server.end.branch as u64 % 7;
        let end = server.end.lsn;
        if is_synchronous {
            server.flushed = end;
        }
        server.visible = end;
        server.replayed = end;
        let clock = i64::try_from(now).unwrap_or_default() + server.skew;
        let record = Record { end, at: now, clock, slow };
        self.branches[server.end.branch].records.push(record);
        (Point { branch: server.end.branch, lsn: end }, end)
    }

    /// Moves logs and replay on.
    pub(super) fn tick(&mut self, now: Millis) {
        for index in 0..self.servers.len() {
            if !self.servers[index].is_up {
                continue;
            }
            if now.is_multiple_of(CHECKPOINTS) {
                self.checkpoint(index);
            }
            if self.servers[index].is_replica {
                self.receive(index);
                self.replay(index, now);
            } else {
                self.flush(index, now);
            }
        }
    }

    fn flush(&mut self, index: usize, now: Millis) {
        let Server { end, flushed, .. } = self.servers[index];
        let mut until = flushed;
        while let Some(record) = self.next_record(end.branch, until, end.lsn)
            && record.at + FLUSH_DELAY <= now
        {
            until = record.end;
        }
        self.servers[index].flushed = until;
    }

    fn checkpoint(&mut self, index: usize) {
        let branch = self.servers[index].end.branch;
        self.servers[index].checkpointed = self.branches[branch].timeline;
    }

    fn receive(&mut self, index: usize) {
        let server = self.servers[index].clone();
        let upstream = self.servers[server.upstream].clone();
        // A replica passes on what it has received.
        let lsn = if upstream.is_replica { upstream.end.lsn } else { upstream.flushed };
        let source = Point { branch: upstream.end.branch, lsn };
        let is_reachable = server.is_linked && upstream.is_up && server.upstream != index;
        let (own, other) = (self.name(server.end), self.name(source));
        let follows = self.contains(source, server.end);
        let fits = own.system == other.system
            && own.timeline == other.timeline
            && server.end.lsn <= source.lsn;
        // A replica never leaves its timeline for an older one, also where nothing tells them apart.
        let goes_back = own.system == other.system && other.timeline < own.timeline;
        if !is_reachable || goes_back || !follows && !fits {
            self.servers[index].is_streaming = false;
            return;
        }
        self.servers[index].is_streaming = true;
        if follows {
            self.servers[index].end = source;
            return;
        }
        // Another history with the same numbers: Postgres cannot tell, and mixes the two.
        if self.branches[server.end.branch].copies != Some(source.branch) {
            let branch = Branch {
                system: own.system,
                timeline: own.timeline,
                parent: Some((server.end.branch, server.end.lsn)),
                copies: Some(source.branch),
                records: Vec::new(),
            };
            self.branches.push(branch);
            self.servers[index].end.branch = self.branches.len() - 1;
        }
        let branch = self.servers[index].end.branch;
        let mut after = server.end.lsn;
        while let Some(record) = self.next_record(source.branch, after, source.lsn) {
            self.branches[branch].records.push(record);
            after = record.end;
        }
        self.servers[index].end.lsn = source.lsn;
    }

    fn replay(&mut self, index: usize, now: Millis) {
        loop {
            let server = &self.servers[index];
            let next = self.next_record(server.end.branch, server.replayed, server.end.lsn);
            let Some(record) = next else {
                let server = &mut self.servers[index];
                server.replayed = server.end.lsn;
                server.visible = server.end.lsn;
                return;
            };
            let server = &mut self.servers[index];
            match server.work_until {
                Some(until) if now < until => return,
                Some(_) => server.work_until = None,
                None if server.is_paused || now < record.at + server.lag => return,
                None if record.slow > 0 => {
                    server.visible = record.end;
                    server.work_until = Some(now + record.slow);
                    return;
                }
                None => {}
            }
            server.replayed = record.end;
            server.visible = record.end;
            server.last_commit = Some(record.clock);
        }
    }

    pub(super) fn identity(&self, index: usize) -> ServerIdentity {
        let Server { started, end, .. } = self.servers[index];
        let system = self.branches[end.branch].system;
        ServerIdentity {
            system,
            started,
            sees_timelines: self.sees_timelines,
            layout: LogLayout::default(),
        }
    }

    /// What a server says of itself now, to a question that was sent at `asked`.
    pub(super) fn report(&self, index: usize, asked: Millis, now: Millis) -> ServerReport {
        let server = &self.servers[index];
        let is_replica = server.is_replica;
        let is_still = server.is_paused && server.work_until.is_none();
        let clock = i64::try_from(now).unwrap_or_default() + server.skew;
        ServerReport {
            is_replica,
            timeline: if is_replica && !(server.is_streaming && self.sees_timelines) {
                server.checkpointed
            } else {
                self.branches[server.end.branch].timeline
            },
            lsn: if is_replica { server.replayed } else { server.end.lsn },
            is_settled: !is_replica || is_still || server.replayed == server.end.lsn,
            is_streaming: is_replica && server.is_streaming,
            followers: u32::try_from(self.followers(index)).ok(),
            clock: clock * 1000,
            own_clock: i64::try_from(now).unwrap_or_default() * 1000,
            committed: server.last_commit.filter(|_| is_replica).map(|clock| clock * 1000),
            asked: self.base + Duration::from_millis(asked),
            answered: self.base + Duration::from_millis(now),
        }
    }
}

/// What an operator, a crash or a mistake does to servers.
impl Postgres {
    /// Stops a server at once: what was not flushed is lost.
    pub(super) fn crash(&mut self, index: usize) {
        let server = &self.servers[index];
        if !server.is_replica && server.flushed < server.end.lsn {
            let fork = Point { lsn: server.flushed, ..server.end };
            let timeline = self.branches[fork.branch].timeline;
            self.servers[index].end = self.fork(fork, timeline);
        }
        self.servers[index].is_up = false;
        self.servers[index].is_streaming = false;
    }

    pub(super) fn start(&mut self, index: usize) {
        let started = self.next_start();
        let server = &mut self.servers[index];
        server.is_up = true;
        server.started = started;
        server.work_until = None;
        server.is_paused = false;
        server.visible = server.replayed;
        if !server.is_replica {
            server.replayed = server.end.lsn;
            server.visible = server.end.lsn;
            server.flushed = server.end.lsn;
        }
        self.checkpoint(index);
    }

    /// A new branch from `fork` on.
    fn fork(&mut self, fork: Point, timeline: u32) -> Point {
        let system = self.branches[fork.branch].system;
        let parent = Some((fork.branch, fork.lsn));
        let records = Vec::new();
        self.branches.push(Branch { system, timeline, parent, copies: None, records });
        Point { branch: self.branches.len() - 1, lsn: fork.lsn }
    }

    /// Has a server take writes on a new branch, from `fork` on.
    fn lead(&mut self, index: usize, fork: Point, timeline: u32) {
        let end = self.fork(fork, timeline);
        let server = &mut self.servers[index];
        server.is_replica = false;
        server.is_streaming = false;
        server.end = end;
        server.replayed = end.lsn;
        server.visible = end.lsn;
        server.flushed = end.lsn;
        server.work_until = None;
        server.is_paused = false;
        self.checkpoint(index);
    }

    /// Promotes a replica while it runs, once it has replayed what it received.
    pub(super) fn promote(&mut self, index: usize) {
        let end = self.servers[index].end;
        let timeline = self.branches[end.branch].timeline + 1;
        self.lead(index, end, timeline);
    }

    /// Starts a replica as a server that takes writes, `jump` timelines further: 0 where its
    /// `standby.signal` was lost.
    pub(super) fn restart_writable(&mut self, index: usize, jump: u32) {
        let end = self.servers[index].end;
        let timeline = self.branches[end.branch].timeline + jump;
        self.lead(index, end, timeline);
        self.start(index);
    }

    /// A moment `back` commits before `end`, on the same timeline or an older one.
    fn older(&self, end: Point, back: u64, is_older_timeline: bool) -> Point {
        let mut at = Point { lsn: end.lsn.saturating_sub(10 * back).max(100), ..end };
        let mut may_climb = is_older_timeline;
        while let Some((branch, fork)) = self.branches[at.branch].parent
            && (at.lsn <= fork || may_climb)
        {
            may_climb &= self.branches[branch].timeline == self.branches[at.branch].timeline;
            at = Point { branch, lsn: at.lsn.min(fork) };
        }
        // A copy ends with a whole record.
        let Branch { parent, records, .. } = &self.branches[at.branch];
        let whole = records.partition_point(|record| record.end <= at.lsn);
        let first = parent.map_or(100, |(_, fork)| fork);
        let lsn = whole.checked_sub(1).map_or(first, |last| records[last].end);
        Point { lsn, ..at }
    }

    /// Puts a primary back to an older copy.
    pub(super) fn put_back(&mut self, index: usize, back: u64, is_older_timeline: bool) {
        let at = self.older(self.servers[index].end, back, is_older_timeline);
        let timeline = self.branches[at.branch].timeline;
        self.lead(index, at, timeline);
        self.start(index);
    }

    /// Starts a restored copy, which answers reads and follows no server.
    pub(super) fn restore(&mut self, index: usize, back: u64) {
        let end = self.older(self.servers[index].end, back, false);
        self.begin_to_follow(index, end, index);
    }

    /// Starts a new database without rows.
    pub(super) fn empty(&mut self, index: usize) {
        self.systems += 1;
        let (parent, copies, records) = (None, None, Vec::new());
        self.branches.push(Branch { system: self.systems, timeline: 1, parent, copies, records });
        self.lead(index, Point { branch: self.branches.len() - 1, lsn: 100 }, 1);
        self.start(index);
    }

    /// Puts a new database behind all URLs, with the same rows.
    pub(super) fn replace_all(&mut self, primary: usize) {
        self.empty(primary);
        (0..self.servers.len()).for_each(|index| self.rebuild(index, primary));
    }

    /// Rebuilds a server as a replica of a primary.
    pub(super) fn rebuild(&mut self, index: usize, primary: usize) {
        if index != primary {
            let source = &self.servers[primary];
            self.begin_to_follow(index, Point { lsn: source.flushed, ..source.end }, primary);
        }
    }

    fn begin_to_follow(&mut self, index: usize, end: Point, upstream: usize) {
        let server = &mut self.servers[index];
        (server.is_replica, server.is_streaming, server.upstream) = (true, false, upstream);
        (server.end, server.replayed, server.visible) = (end, end.lsn, end.lsn);
        server.last_commit = None;
        self.start(index);
    }
}

/// A position as servers say it.
pub(super) struct Named {
    pub(super) system: u64,
    pub(super) timeline: u32,
    lsn: u64,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.system, self.timeline, self.lsn)
    }
}
