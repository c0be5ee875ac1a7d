//! What one process knows of its members and decides, without its thread and its sockets: for the
//! simulation. The thread of the monitor calls the same functions in the same order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;

use super::backoff::Backoff;
use super::election::Known;
use super::leader::{Elections, Leader};
use super::monitor::{self, LONGEST_PAUSE, SHORTEST_INTERVAL, SILENCE};
use super::record::Reply;
use crate::error::{DownReason, Error};
use crate::position::Position;
use crate::server::{HealthRecord, Leadership, ServerIdentity, ServerReport, ServerState};
use crate::settings::Safeguards;

/// The members of one process.
pub(crate) struct SimulatedCluster {
    leader: Leader,
    pub(crate) leadership: Arc<Leadership>,
    health: Vec<HealthRecord>,
    backoff: Vec<Backoff>,
}

/// How long the monitor waits for an answer, the round trips aside.
pub(crate) const ANSWER_LIMIT: Duration = SILENCE;

/// The shortest time between two questions to a member.
pub(crate) const SHORTEST: Duration = SHORTEST_INTERVAL;

impl SimulatedCluster {
    /// A process that has just started. The first region is the primary of regions.toml.
    pub(crate) fn new(regions: &[&'static str], safeguards: Safeguards, now: Instant) -> Self {
        let leadership = Arc::new(Leadership::new(safeguards));
        let known = Known {
            system: 0,
            leader: None,
            newest: 0,
            declared: 0,
            follows_promotions: true,
            safeguards,
        };
        let health = regions.iter().map(|region| HealthRecord::new(region, leadership.clone()));
        Self {
            health: health.collect(),
            backoff: regions.iter().map(|_| Backoff::up_to(LONGEST_PAUSE)).collect(),
            leader: Leader::new(
                regions.iter().copied().enumerate().collect(),
                known,
                leadership.clone(),
                now,
            ),
            leadership,
        }
    }

    pub(crate) fn health(&self, index: usize) -> &HealthRecord {
        &self.health[index]
    }

    /// Derives a state from a report on any connection, and asks for an election if it shows a newer
    /// timeline.
    pub(crate) fn observe(
        &self,
        index: usize,
        identity: ServerIdentity,
        report: ServerReport,
        before: Option<ServerState>,
        now: Instant,
    ) -> ServerState {
        let state = self.health[index].observe(identity, report, before);
        if std::pin::pin!(self.leadership.newer_timeline()).now_or_never().is_some() {
            self.leader.request_election(now);
        }
        state
    }

    /// Records an answer to the monitor.
    pub(crate) fn record_reply(
        &mut self,
        index: usize,
        (identity, report, state): (ServerIdentity, ServerReport, ServerState),
        round_trip: Duration,
        now: Instant,
    ) {
        self.backoff[index] = Backoff::up_to(LONGEST_PAUSE);
        let reply = (Reply { identity, report }, state);
        let unfit = monitor::record_reply(&self.leader, &self.leadership, index, reply, now);
        self.health[index].record_state(identity, state, round_trip, now);
        match unfit {
            Some(reason) => self.health[index].mark_down(reason),
            None => self.health[index].mark_up(),
        }
    }

    /// Records that the monitor got no answer. Returns the pause before its next attempt.
    pub(crate) fn record_failure(
        &mut self,
        index: usize,
        reason: DownReason,
        asked: Instant,
        now: Instant,
    ) -> Duration {
        monitor::note_failure(&self.leader, index, &self.health[index], reason, (asked, now));
        let pause = self.backoff[index].next_pause();
        self.leader.election_pause(now).map_or(pause, |longest| pause.min(longest))
    }

    /// The pause after an answer.
    pub(crate) fn pause(&self, is_used: bool, now: Instant) -> Duration {
        monitor::usual_pause(&self.leader, is_used, now)
    }

    /// As `Cluster::lags_over` for a read that may be stale.
    pub(crate) fn lags_over(&self, index: usize, limit: Duration, now: Instant) -> bool {
        let health = &self.health[index];
        health.lagged_over(limit) || health.has_grown_over(limit, now, || self.leader.lost_since())
    }

    pub(crate) fn leader_index(&self) -> usize {
        self.leader.index()
    }

    pub(crate) fn elections(&self) -> Elections {
        self.leader.elections()
    }

    pub(crate) fn request_election(&self, now: Instant) {
        self.leader.request_election(now);
    }

    /// When an election was last requested.
    pub(crate) fn requested(&self) -> Option<Instant> {
        self.leader.requested_at()
    }

    /// Whether the election has ended that was requested at `since`, after those in `seen`.
    pub(crate) fn has_ended(&self, seen: Elections, since: Instant, now: Instant) -> bool {
        self.leader.has_ended(seen, self.elections(), since, now)
    }

    /// The member that a write is sent to.
    pub(crate) fn writable_leader(&self, seen: Option<Position>) -> Result<usize, Error> {
        let index = self.leader.writable(seen)?;
        self.health[index].silence().map_or(Ok(index), |reason| Err(reason.in_region("leader")))
    }

    /// Whether a connection for writing is closed instead of used: it leads to another database, or
    /// to a server that takes writes while another one leads.
    pub(crate) fn is_rival(
        &self,
        index: usize,
        identity: ServerIdentity,
        state: &ServerState,
    ) -> bool {
        let leads = self.leadership.is_led_by(self.region(index), identity, state.timeline);
        let has_leader = self.leadership.view().leader.is_some();
        self.leadership.is_foreign(identity.system) || has_leader && !leads
    }

    fn region(&self, index: usize) -> &'static str {
        self.health[index].region()
    }
}
