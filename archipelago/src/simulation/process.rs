//! A process of ours: what it knows, and the pace of its monitor.

use std::time::Instant;

use super::postgres::Millis;
use super::step::SERVERS;
use crate::cluster::SimulatedCluster;
use crate::server::ServerState;
use crate::settings::Safeguards;

/// The regions of the servers.
pub(super) const REGIONS: [&str; SERVERS] = ["nrt", "ord", "ams"];

pub(super) struct Process {
    pub(super) cluster: SimulatedCluster,
    pub(super) members: [Member; SERVERS],
    /// The nearest first.
    pub(super) order: [usize; SERVERS],
    /// Counts starts: an event for an earlier one is late.
    pub(super) epoch: u32,
    /// The member that it takes for the primary, and since when.
    pub(super) follows: (usize, Millis),
    /// Since when the primary and a replica that follows it have been in reach.
    pub(super) evident_since: Option<Millis>,
    /// When they last had been for a while.
    pub(super) was_evident: Option<Millis>,
    /// Since when all members have been in reach.
    pub(super) complete_since: Option<Millis>,
    /// The only server of a new database, and since when all members have been in reach.
    pub(super) intruder: Option<(usize, Millis)>,
    /// A rival came on the primary's own timeline before the process knew the primary: nothing tells
    /// the two apart, until it follows the primary, or misses the rival up to this moment.
    pub(super) astray_until: Option<Millis>,
    /// Where a replica was seen that holds what the primary has not, and when it was asked.
    pub(super) seen_ahead: [Option<(u64, Millis)>; SERVERS],
    /// Since when the primary has been seen behind that.
    pub(super) knows_ahead: [Option<Millis>; SERVERS],
}

/// What a process keeps of one member.
#[derive(Clone, Copy, Default)]
pub(super) struct Member {
    /// Counts questions of the monitor: an event of an earlier one is late.
    pub(super) token: u32,
    /// When the monitor began to wait for its next question. None while one is under way, and in the
    /// pause after a failure.
    pub(super) waits_since: Option<Millis>,
    /// When the last question that was answered was sent.
    pub(super) asked: Millis,
    pub(super) is_suspect: bool,
    /// The states that the monitor's connection, the one for reads and the one for writes have
    /// shown, each with the start of the server.
    pub(super) monitor: Option<(i64, ServerState)>,
    pub(super) reading: Option<(i64, ServerState)>,
    pub(super) writing: Option<(i64, ServerState)>,
}

impl Process {
    pub(super) fn new(home: usize, epoch: u32, safeguards: Safeguards, now: Instant) -> Self {
        let mut order: [usize; SERVERS] = [0, 1, 2];
        order.sort_by_key(|index| index.abs_diff(home));
        Self {
            cluster: SimulatedCluster::new(&REGIONS, safeguards, now),
            members: Default::default(),
            order,
            epoch,
            follows: (0, 0),
            evident_since: None,
            was_evident: None,
            complete_since: None,
            intruder: None,
            astray_until: None,
            seen_ahead: Default::default(),
            knows_ahead: Default::default(),
        }
    }

    /// Whether nothing tells it the primary from a rival.
    pub(super) fn is_astray(&self) -> bool {
        self.astray_until.is_some()
    }

    pub(super) fn home(&self) -> usize {
        self.order[0]
    }
}
