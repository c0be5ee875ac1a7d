//! The monitor of each process: its questions, and what it does with the answers.

use std::time::Duration;

use super::{AskEnd, Event, SERVERS, World, millis};
use crate::cluster::{ANSWER_LIMIT, SHORTEST};
use crate::error::DownReason;
use crate::server::ServerReport;
use crate::simulation::defect::Defect;
use crate::simulation::postgres::Millis;
use crate::simulation::process::{Member, Process};
use crate::simulation::request::Phase;

impl World {
    pub(super) fn is_current(&self, process: usize, epoch: u32, member: usize, token: u32) -> bool {
        let process = &self.processes[process];
        process.epoch == epoch && process.members[member].token == token
    }

    pub(super) fn begin_to_ask(&mut self, process: usize) {
        (0..SERVERS).for_each(|member| self.ask_after(process, member, 0));
    }

    /// The monitor asks after a pause; an earlier plan is dropped.
    pub(super) fn ask_after(&mut self, process: usize, member: usize, pause: Millis) {
        let epoch = self.processes[process].epoch;
        let known = &mut self.processes[process].members[member];
        known.token += 1;
        let token = known.token;
        self.send(pause, Event::Ask { process, epoch, member, token });
    }

    pub(super) fn is_reachable(&self, process: usize, server: usize) -> bool {
        !self.is_cut[process][server]
    }

    pub(super) fn ask(&mut self, process: usize, member: usize) {
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

    pub(super) fn ask_arrives(&mut self, process: usize, member: usize, asked: Millis) {
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
    pub(super) fn beat(&mut self, process: usize, member: usize) {
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

    pub(super) fn ask_ends(&mut self, process: usize, member: usize, asked: Millis, end: AskEnd) {
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
                let report = ServerReport { answered: now, ..report };
                let is_lost = report.is_replica
                    && !self.postgres.contains(
                        self.postgres.servers[self.truth].end,
                        self.postgres.servers[member].end,
                    );
                if is_lost && known.seen_ahead[member].is_none() {
                    known.seen_ahead[member] = Some((report.lsn, self.now));
                }
                let leads = member == self.truth && known.cluster.leader_index() == member;
                for server in 0..SERVERS {
                    let is_behind = |(lsn, then)| lsn > report.lsn && then <= asked;
                    if leads && known.seen_ahead[server].is_some_and(is_behind) {
                        known.knows_ahead[server].get_or_insert(self.now);
                    }
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
    pub(super) fn wake(&mut self, process: usize) {
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
