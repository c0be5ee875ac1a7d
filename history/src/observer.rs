//! Somebody who looks at the servers themselves, past all lines and the app: what each of them could have shown, and when.

use std::time::{Duration, Instant};

use archipelago_lab::{Role, World};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::Position;

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(400);

/// How far a server was.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// By when, counted from the beginning of the round.
    pub at: Duration,
    /// Where the server stands.
    pub region: String,
    /// Everything up to here could be read there.
    pub position: Position,
}

/// Looks until the end.
pub async fn observe(world: &World, began: Instant, mut end: watch::Receiver<bool>) -> Vec<Sample> {
    let mut samples = Vec::new();
    while timeout(INTERVAL, end.wait_for(|end| *end)).await.is_err() {
        let status = world.status().await;
        let at = began.elapsed();
        samples.extend(status.servers.into_iter().filter_map(|server| {
            let lsn = if server.role == Role::Primary { server.written } else { server.replayed };
            Some(Sample { at, region: server.region, position: Position { timeline: server.timeline?, lsn: lsn?.into() } })
        }));
    }
    samples
}
