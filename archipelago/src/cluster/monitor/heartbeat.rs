//! The heartbeat: empty commits at the leader, by which an idle primary's replicas tell their lag.

use std::time::Instant;

use super::INTERVAL;
use crate::cluster::Inner;
use crate::connection::Connection;

/// The empty commits by which replicas tell the age of what they show.
#[derive(Default)]
pub(super) struct Heartbeat {
    last: Option<Instant>,
    is_refused: bool,
}

impl Heartbeat {
    /// Sends one to the leader, once in an interval. One that is refused is not tried again on this
    /// connection.
    pub(super) async fn send_if_due(
        &mut self,
        inner: &Inner,
        index: usize,
        connection: &Connection,
    ) {
        let is_due = self.last.is_none_or(|at| at.elapsed() >= INTERVAL);
        let sends = index == inner.leader.index() && inner.sends_heartbeat();
        if self.is_refused || !is_due || !sends || connection.is_rival_primary() {
            return;
        }
        self.last = Some(Instant::now());
        if let Err(error) = connection.send_heartbeat().await {
            self.is_refused = true;
            tracing::warn!(
                region = inner.members[index].info().code,
                %error,
                "no heartbeat can be committed, so that on an idle primary the lag of replicas is \
                 unknown; if the role lacks the right, run GRANT EXECUTE ON FUNCTION \
                 pg_logical_emit_message(boolean, text, text) TO the role; since PostgreSQL 17 it \
                 has a fourth parameter, boolean"
            );
        }
    }
}
