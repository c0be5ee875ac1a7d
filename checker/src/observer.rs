//! Watches the servers and this machine during a run. It asks the servers directly, without the app
//! and without the simulated network, which shows what each of them could have served.

use std::time::{Duration, Instant};

use archipelago_lab::{Role, World};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::history::{Position, ReplaySample, Stall};

/// The time between two samples.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(400);

/// The time between two ticks of the stall detector.
const TICK: Duration = Duration::from_millis(20);

/// A tick that is this late counts as a stall.
const LATE: Duration = Duration::from_millis(200);

/// Samples how far each server has replayed, until the run stops.
pub async fn sample_replay(
    world: &World,
    start: Instant,
    mut stop: watch::Receiver<bool>,
) -> Vec<ReplaySample> {
    let mut samples = Vec::new();
    while timeout(SAMPLE_INTERVAL, stop.wait_for(|stop| *stop)).await.is_err() {
        let status = world.status().await;
        let at = start.elapsed();
        samples.extend(status.servers.into_iter().filter_map(|server| {
            let lsn = if server.role == Role::Primary { server.written } else { server.replayed };
            let position = Position { system: 0, timeline: server.timeline?, lsn: lsn?.into() };
            Some(ReplaySample { at, region: server.region, position })
        }));
    }
    samples
}

/// Records when this process got no processor time, until the run stops.
pub async fn detect_stalls(start: Instant, mut stop: watch::Receiver<bool>) -> Vec<Stall> {
    let (mut stalls, mut from) = (Vec::new(), start.elapsed());
    while timeout(TICK, stop.wait_for(|stop| *stop)).await.is_err() {
        let until = start.elapsed();
        if until > from + TICK + LATE {
            stalls.push(Stall { from, until });
        }
        from = until;
    }
    stalls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_blocked_process_has_stalled() {
        let (stop_sender, stop) = watch::channel(false);
        let start = Instant::now();
        let detector = tokio::spawn(detect_stalls(start, stop));
        // Let it tick, block its thread, and let it notice.
        tokio::time::sleep(TICK).await;
        std::thread::sleep(LATE + 2 * TICK);
        tokio::time::sleep(TICK).await;
        stop_sender.send_replace(true);
        let stalls = detector.await.unwrap();
        assert_eq!(stalls.len(), 1, "{stalls:?}");
        assert!(stalls[0].until > stalls[0].from + LATE);
    }
}
