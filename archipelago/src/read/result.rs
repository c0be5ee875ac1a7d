//! What a read returned, and where it came from.

use std::time::Duration;

use crate::cluster::Member;
use crate::connection::Answer;
use crate::position::Position;
use crate::region::{Reason, Role, ServedBy};

/// What a read returned, which database served it, and how new that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadResult<T> {
    /// What was read.
    pub value: T,
    /// Which database served the read, and why that one.
    pub served_by: ServedBy,
    /// No part of the value is newer than this position. A next read that is
    /// [`AtLeast`](crate::Freshness::AtLeast) here does not go back in time, whichever database
    /// serves it.
    pub position: Position,
}

impl<T> ReadResult<T> {
    /// An answer of `member`. It is marked as stale where a replica is, or may be, further behind
    /// than `stale_after`.
    pub(super) fn new(
        member: &Member,
        reason: Reason,
        answer: Answer<T>,
        stale_after: Option<Duration>,
    ) -> Self {
        let Answer { value, state, position } = answer;
        let is_replica = state.role == Role::Replica;
        let stale = stale_after.filter(|_| is_replica).and_then(|limit| match state.as_of {
            Some(as_of) => Some(as_of.elapsed()).filter(|lag| *lag > limit),
            // An unknown lag is reported as the limit.
            None => Some(limit),
        });
        let served_by = ServedBy { region: member.info().code, role: state.role, reason, stale };
        Self { value, served_by, position }
    }
}
