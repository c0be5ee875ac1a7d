//! When the next iteration begins.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// What the loops of one measurement share.
#[derive(Debug)]
pub(super) struct Pace {
    start: Instant,
    /// None where every loop goes on by itself.
    interval: Option<Duration>,
    /// Turns taken so far.
    taken: Cell<u32>,
}

impl Pace {
    /// So many iterations per second, from now on; none for back to back.
    pub(super) fn new(rate: Option<u32>) -> Self {
        let interval = rate.map(|rate| Duration::from_secs(1) / rate.max(1));
        Self { start: Instant::now(), interval, taken: Cell::new(0) }
    }

    /// Waits until the next iteration is due, and returns the moment from which its latency counts.
    ///
    /// A loop that came too late counts from the moment when the iteration was due. A loop that was there counts from when the
    /// timer let it go: Tokio's timer is up to a millisecond late, and that is no fault of a database's.
    pub(super) async fn turn(&self) -> Instant {
        let due = self.due(self.taken.get());
        self.taken.update(|taken| taken.saturating_add(1));
        match due {
            Some(due) if due <= Instant::now() => due,
            Some(due) => {
                sleep_until(due).await;
                Instant::now()
            }
            None => Instant::now(),
        }
    }

    /// How long each iteration that was due before `end`, and for which no loop came free, has waited by now.
    pub(super) fn never_begun(&self, end: Instant) -> impl Iterator<Item = Duration> {
        (self.taken.get()..)
            .map_while(|turn| self.due(turn))
            .take_while(move |due| *due < end)
            .map(|due| due.elapsed())
    }

    fn due(&self, turn: u32) -> Option<Instant> {
        self.interval.map(|interval| self.start + interval * turn)
    }
}
