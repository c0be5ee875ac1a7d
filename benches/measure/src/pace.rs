//! When the next iteration begins.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The schedule that all loops of one measurement share.
#[derive(Debug)]
pub(crate) struct Pace {
    start: Instant,
    /// The time between two iterations; `None` when the loops run back to back.
    interval: Option<Duration>,
    /// How many iterations the loops have taken from the schedule so far.
    taken: Cell<u32>,
}

impl Pace {
    /// A schedule that starts now, with `rate` iterations per second, or back to back.
    pub(crate) fn new(rate: Option<u32>) -> Self {
        let interval = rate.map(|rate| Duration::from_secs(1) / rate.max(1));
        Self { start: Instant::now(), interval, taken: Cell::new(0) }
    }

    /// Waits until the next iteration is due, and returns the moment from which its latency counts.
    ///
    /// For a loop that comes late, this is the moment when the iteration was due. For a loop that
    /// waits, it is the moment when the timer fires: Tokio's timer is up to a millisecond late,
    /// which is not part of the operation's latency.
    pub(crate) async fn next(&self) -> Instant {
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

    /// For each iteration that was due before `end` but never began: how long it has been waiting.
    pub(crate) fn never_begun(&self, end: Instant) -> impl Iterator<Item = Duration> {
        (self.taken.get()..)
            .map_while(|iteration| self.due(iteration))
            .take_while(move |due| *due < end)
            .map(|due| due.elapsed())
    }

    fn due(&self, iteration: u32) -> Option<Instant> {
        self.interval.map(|interval| self.start + interval * iteration)
    }
}
