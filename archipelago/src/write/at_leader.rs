//! Checks out a connection to the leader. Nothing is written yet, so all of it may be repeated.

use std::time::Instant;

use super::Primary;
use crate::connection::Connection;
use crate::error::{Error, NextRead};
use crate::pool::Checkout;

/// Checks out a connection to the leader. Nothing was written yet, so the search may be
/// repeated.
pub(super) async fn checkout(primary: Primary<'_>) -> Result<Checkout, Error> {
    let Primary { cluster, visitor, .. } = primary;
    let limit = cluster.leader().writing.timeouts().checkout;
    let deadline = Instant::now() + limit;
    cluster.wait_for_leader(limit).await;
    let mut seen = match visitor {
        Some(session) => session.position(cluster).await,
        None => None,
    };
    let mut was_held = false;
    loop {
        let elections = cluster.elections();
        // Each election may show that the position is of another history.
        seen = seen.filter(|position| cluster.leadership().replacement_for(*position).is_none());
        let checked_out = match cluster.writable_leader(seen) {
            Ok(member) => member.writing.checkout().await,
            Err(error) => Err(error),
        };
        let left = deadline.saturating_duration_since(Instant::now());
        match checked_out {
            Err(error) if error.asks_for_election() && !was_held && !left.is_zero() => {
                let has_ended = cluster.hold_election(elections, left).await;
                // Another leader is worth an attempt as well.
                was_held = !has_ended || cluster.elections().changes == elections.changes;
            }
            outcome => return outcome,
        }
    }
}

/// Checks out a connection, and sends something that writes nothing. So a connection that turns
/// out to be closed is replaced.
pub(super) async fn checkout_and(
    primary: Primary<'_>,
    first: impl AsyncFnOnce(&mut Connection) -> Result<(), Error> + Clone,
) -> Result<Checkout, Error> {
    let mut is_repeated = false;
    loop {
        let failed = |_: &Error| primary.cluster.leader().traffic.failed();
        let mut checkout = checkout(primary).await.inspect_err(failed)?;
        let begun = checkout.within_statement_limit(first.clone());
        match begun.await {
            Ok(()) => return Ok(checkout),
            Err(error @ Error::Query(_))
                if !is_repeated && error.next_read(false) != NextRead::FINAL =>
            {
                is_repeated = true;
            }
            // It is certain that nothing was written.
            Err(error) => {
                primary.cluster.leader().traffic.failed();
                return Err(error.undone());
            }
        }
    }
}
