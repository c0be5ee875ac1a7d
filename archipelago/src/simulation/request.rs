//! A request under way: what it has come to. [`World`](super::world::World) moves it on.

use std::time::Instant;

use super::postgres::{Millis, Point};
use super::step::Visit;
use crate::cluster::Elections;
use crate::position::Position;
use crate::server::{NotFresh, Requirement, ServerIdentity, ServerReport, ServerState};
use crate::visitor::SessionData;

/// A visitor's request in a process.
pub(super) struct Request {
    pub(super) visit: Visit,
    pub(super) session: SessionData,
    pub(super) brought: Vec<Position>,
    pub(super) requirement: Requirement,
    pub(super) begun: Millis,
    /// The database that the process knew then.
    pub(super) system: u64,
    /// What the visitor knew when they sent it.
    pub(super) known: Vec<Point>,
    /// Whether the visitor had positions of another history then, since the primary's last answer.
    pub(super) was_misled: bool,
    /// Whether no other answer to the visitor was under way then.
    pub(super) is_alone: bool,
    /// How often the process was started before it came.
    pub(super) epoch: u32,
    /// Counts phases: an event of an earlier one is late.
    pub(super) token: u32,
    pub(super) phase: Phase,
    pub(super) current: usize,
    pub(super) tried: Vec<usize>,
    pub(super) lagging: Vec<usize>,
    /// Whether what the visitor has seen was vetted.
    pub(super) has_set_out: bool,
    pub(super) is_failing_over: bool,
    /// The outcome at the first member, while elections are waited for.
    pub(super) outcome: Option<Outcome>,
    /// Whether the first election was waited for.
    pub(super) was_unknown: bool,
    /// A write that waits for an election: until when, and whether it has waited once.
    pub(super) deadline: Millis,
    pub(super) was_held: bool,
    pub(super) exchange: Exchange,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// For the first election.
    AwaitsLeader,
    /// For an election that finds the timeline of the required position.
    AwaitsTimeline {
        since: Instant,
        seen: Elections,
        until: Millis,
        position: Position,
    },
    /// For an election after a failed attempt to write.
    AwaitsElection {
        since: Instant,
        seen: Elections,
    },
    Asks,
    AsksStale,
    Ended,
}

/// What came of a read at one member.
#[derive(Clone, Copy)]
pub(super) enum Outcome {
    Answered(ServerState, Position),
    NotFresh(NotFresh),
    Failed,
}

/// The messages to one server and back.
#[derive(Clone, Copy, Default)]
pub(super) struct Exchange {
    /// The server's start that the connection leads to, and what that had shown when the request was
    /// sent. None for a new connection.
    pub(super) before: Option<(i64, ServerState)>,
    pub(super) asked: Millis,
    pub(super) is_known_fresh: bool,
    pub(super) ahead: Option<(ServerIdentity, ServerReport)>,
    pub(super) behind: Option<(ServerIdentity, ServerReport)>,
    pub(super) shown: Option<Point>,
    pub(super) shown_at: Millis,
    /// The LSN that a server says behind a commit.
    pub(super) committed: Option<u64>,
}
