//! Somebody who looks at the servers themselves, past all lines and the app: what each of them could have shown, and when. And at
//! the machine: when it stood still.

use std::time::{Duration, Instant};

use archipelago_lab::{Role, World};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::Position;

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(400);

/// Between two ticks of the clock that notices when this process does not run.
const TICK: Duration = Duration::from_millis(20);

/// A tick that is so late was held up by the machine: what took long meanwhile says nothing of anybody's promises.
const LATE: Duration = Duration::from_millis(200);

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

/// A stretch in which this process did not run: other programs had the machine. Times count from the beginning of the round.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Stall {
    /// When it ran last.
    pub from: Duration,
    /// When it ran again.
    pub until: Duration,
}

/// Notices stalls until the end.
pub async fn stalls(began: Instant, mut end: watch::Receiver<bool>) -> Vec<Stall> {
    let (mut stalls, mut from) = (Vec::new(), began.elapsed());
    while timeout(TICK, end.wait_for(|end| *end)).await.is_err() {
        let until = began.elapsed();
        if until > from + TICK + LATE {
            stalls.push(Stall { from, until });
        }
        from = until;
    }
    stalls
}

/// Looks until the end.
pub async fn observe(world: &World, began: Instant, mut end: watch::Receiver<bool>) -> Vec<Sample> {
    let mut samples = Vec::new();
    while timeout(INTERVAL, end.wait_for(|end| *end)).await.is_err() {
        let status = world.status().await;
        let at = began.elapsed();
        samples.extend(status.servers.into_iter().filter_map(|server| {
            let lsn = if server.role == Role::Primary { server.written } else { server.replayed };
            Some(Sample {
                at,
                region: server.region,
                position: Position { timeline: server.timeline?, lsn: lsn?.into() },
            })
        }));
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_that_does_not_run_has_stalled() {
        let (end, told) = watch::channel(false);
        let began = Instant::now();
        let clock = tokio::spawn(stalls(began, told));
        // It ticks, then nothing runs, then it notices.
        tokio::time::sleep(TICK).await;
        std::thread::sleep(LATE + 2 * TICK);
        tokio::time::sleep(TICK).await;
        end.send_replace(true);
        let stalls = clock.await.unwrap();
        assert_eq!(stalls.len(), 1, "{stalls:?}");
        assert!(stalls[0].until > stalls[0].from + LATE);
    }
}
