//! What must hold, and what a process can know of the primary.

use super::{
    AWAITS, AWAITS_RIVAL, MAX_LAG, NOTICES, PROCESSES, SERVERS, SLACK, TAKEN_OUT, World, seconds,
};
use crate::simulation::postgres::{Millis, Point};
use crate::simulation::process::REGIONS;
use crate::simulation::request::Request;

impl World {
    /// Notes what each process can know of the primary.
    pub(super) fn note_evidence(&mut self) {
        let has_rival = self.has_rival();
        let own = self.postgres.name(self.postgres.servers[self.truth].end);
        // The newest timeline that a primary of this database has had.
        let newest = self.newest.filter(|(system, _)| *system == own.system);
        let newest = newest.map_or(own.timeline, |(_, newest)| newest.max(own.timeline));
        self.newest = Some((own.system, newest));
        let has_newer = self.postgres.servers.iter().any(|server| {
            let name = self.postgres.name(server.end);
            let is_newer = name.system == own.system && name.timeline > own.timeline;
            is_newer && (server.is_replica || newest > own.timeline)
        });
        for process in 0..PROCESSES {
            let is_near = |server: usize| {
                self.postgres.servers[server].is_up && !self.is_cut[process][server]
            };
            // Where a replica, or a copy of one, stays on a newer timeline than a primary that was put
            // back, writes stop on purpose.
            let is_complete = (0..SERVERS).all(is_near) && !has_newer;
            // One that holds another history as well proves nothing.
            let is_followed = (0..SERVERS).any(|server| {
                is_near(server)
                    && self.postgres.streams_from(server, self.truth)
                    && self.is_promised(self.postgres.servers[server].end)
            });
            let is_outnumbered = self.is_outnumbered(is_near);
            let is_complete = is_complete && !is_outnumbered;
            // Without the right to see it, nothing tells which timeline a replica follows.
            let is_seen = is_followed && self.postgres.sees_timelines;
            // No promotion makes timeline 1: the primary of regions.toml must show that it has it not.
            let is_apart = self.truth != 0 && own.timeline == 1 && !is_near(0);
            // A member that was last heard on a newer timeline may still be there.
            let is_left = newest == own.timeline || (0..SERVERS).all(is_near);
            let is_known = is_seen && !is_outnumbered && !is_apart && !has_newer && is_left;
            let is_evident = is_near(self.truth) && is_known;
            let intruder = self.intruder().filter(|_| (0..SERVERS).all(is_near));
            let now = self.now;
            let must_know = self.must_know(process);
            let process = &mut self.processes[process];
            let leader = process.cluster.leader_index();
            if process.follows.0 != leader {
                process.follows = (leader, now);
            }
            let is_new = has_rival && (process.is_astray() || !must_know);
            let until = if is_new { Some(now + AWAITS_RIVAL) } else { process.astray_until };
            let stays = has_rival || leader != self.truth;
            process.astray_until = until.filter(|until| stays && now < *until);
            let (is_complete, is_evident) =
                (is_complete && !process.is_astray(), is_evident && !process.is_astray());
            let before = process.intruder.filter(|(before, _)| Some(*before) == intruder);
            process.intruder = before.or(intruder.map(|intruder| (intruder, now)));
            let since = process.complete_since.unwrap_or(now);
            process.complete_since = is_complete.then_some(since);
            let since = process.evident_since.unwrap_or(now);
            process.evident_since = is_evident.then_some(since);
            if is_evident && now - since >= NOTICES {
                process.was_evident = Some(now);
            }
        }
    }

    fn system(&self, server: usize) -> u64 {
        self.postgres.name(self.postgres.servers[server].end).system
    }

    /// Whether a process keeps to another database on purpose: no more servers of the primary's are
    /// near than others, another one takes writes or streams, or the others do not agree.
    fn is_outnumbered(&self, is_near: impl Fn(usize) -> bool) -> bool {
        let own = self.system(self.truth);
        let near = || (0..SERVERS).filter(|server| is_near(*server));
        let mut others = (0..SERVERS).filter(|server| self.system(*server) != own);
        let is_alive = |server: usize| {
            let upstream = self.postgres.servers[server].upstream;
            !self.postgres.servers[server].is_replica
                || self.postgres.streams_from(server, upstream)
        };
        let is_left = others.clone().any(is_alive);
        let other = others.next().map_or(own, |first| self.system(first));
        near().filter(|server| self.system(*server) == own).count() * 2 <= near().count()
            || is_left
            || others.any(|server| self.system(server) != other)
    }

    /// The only server of a new database, where all others have a former one.
    fn intruder(&self) -> Option<usize> {
        (0..SERVERS).find(|server| {
            let mut others = (0..SERVERS).filter(|other| other != server);
            let common = others.next().map_or(0, |first| self.system(first));
            common < self.system(*server) && others.all(|other| self.system(other) == common)
        })
    }

    /// A database without rows that comes in the primary's place must not answer.
    pub(super) fn judge_database(&mut self, request: usize) {
        let Request { visit, current, begun, .. } = &self.requests[request];
        let intruder = self.processes[visit.process].intruder;
        if self.intruder() == Some(*current)
            && intruder.is_some_and(|it| it.0 == *current && it.1 + NOTICES <= *begun)
        {
            let what = format!(
                "{} is answered by the new database in {}, and all others have the former one",
                self.who(visit),
                REGIONS[*current]
            );
            self.violate(what);
        }
    }

    /// Whether another server takes writes on the primary's own timeline.
    pub(super) fn has_rival(&self) -> bool {
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
    pub(super) fn must_know(&self, process: usize) -> bool {
        let known = &self.processes[process];
        !known.is_astray() && known.was_evident.is_some_and(|at| self.now - at < AWAITS)
    }

    /// Whether a process knows for a while that a replica is ahead of the primary.
    fn knows_ahead(&self, process: usize, server: usize, begun: Millis) -> bool {
        self.processes[process].knows_ahead[server].is_some_and(|since| since + TAKEN_OUT <= begun)
    }

    /// The primary has changed: what was evident is not any more.
    pub(super) fn set_truth(&mut self, server: usize) {
        self.truth = server;
        self.forget_evidence();
    }

    /// A server ends: what was in reach is not any more.
    pub(super) fn interrupt(&mut self) {
        self.processes.iter_mut().for_each(|process| process.complete_since = None);
    }

    pub(super) fn forget_ahead(&mut self, server: usize) {
        for process in &mut self.processes {
            process.seen_ahead[server] = None;
            process.knows_ahead[server] = None;
        }
    }

    pub(super) fn forget_evidence(&mut self) {
        for process in &mut self.processes {
            process.evident_since = None;
            process.was_evident = None;
            process.complete_since = None;
            process.intruder = None;
            process.seen_ahead = Default::default();
            process.knows_ahead = Default::default();
        }
    }

    /// Whether a point is in the history of the primary.
    pub(super) fn is_promised(&self, point: Point) -> bool {
        self.postgres.contains(self.postgres.servers[self.truth].end, point)
    }

    pub(super) fn judge_read(&mut self, request: usize, shown: Point, is_stale: bool) {
        let Request { visit, known, was_misled, begun, current, system, exchange, .. } =
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
        let must_know = must_know && (!is_mixed || self.knows_ahead(process, server, begun));
        let missing = known
            .iter()
            .find(|known| self.is_promised(**known) && !self.postgres.contains(shown, **known));
        if let Some(missing) = missing
            && !was_misled
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
        // What a replica had reached of a false primary counts for `MAX_LAG`.
        let (followed, since) = self.processes[process].follows;
        let has_followed = followed == self.truth && since + MAX_LAG <= begun;
        let is_judged = !is_stale
            && !self.was_ahead
            && !self.processes[process].is_astray()
            && (is_of_primary && has_followed || must_know)
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
