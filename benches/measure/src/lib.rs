//! How fast an operation is: it is repeated for a while, and every latency goes into a histogram.

mod outcome;
mod pace;

use std::cell::RefCell;
use std::fmt::Display;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

pub use self::outcome::{CreationError, Outcome};
use self::pace::Pace;

/// Between an error and the next iteration of the same loop. A refused connection costs microseconds, and a database that is
/// down would be stormed.
const AFTER_AN_ERROR: Duration = Duration::from_millis(100);

/// How an operation is measured. It knows no database: the operation is any asynchronous function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// For how long the operation is repeated before anything counts: connections are opened, caches filled.
    pub warm_up: Duration,
    /// For how long it is repeated and measured.
    pub time: Duration,
    /// Loops at the same time; 0 counts as 1. They share one task, so an operation may wait, but should not compute for long.
    pub parallel: u32,
    /// Iterations per second, of all loops together. None lets each loop begin an iteration when its last one has ended.
    ///
    /// With a rate, a latency counts from the moment when the iteration was due, not from the moment when a loop came free for
    /// it: a database that stalls is charged for everybody who would have come meanwhile. Without one, a stall is a single
    /// slow iteration, and those that it kept from happening are omitted (which is called coordinated omission).
    pub rate: Option<u32>,
}

impl Plan {
    /// Warms up, then measures, until the time is over or `stop` resolves. Iterations under way are finished in either case, and
    /// count. Errors end nothing: they are counted, and their latencies are not.
    ///
    /// Dropping the future drops the iterations under way.
    ///
    /// # Errors
    /// When the histogram cannot be made, for which a machine of 64 bits has no reason.
    pub async fn measure<E: Display>(
        self,
        stop: impl Future<Output = ()>,
        operation: impl AsyncFn() -> Result<usize, E>,
    ) -> Result<Outcome, CreationError> {
        let mut stop = pin!(stop);
        let warm_up = RefCell::new(Outcome::new()?);
        let outcome = RefCell::new(Outcome::new()?);
        if self.repeat(self.warm_up, &mut stop, &operation, &warm_up).await {
            self.repeat(self.time, &mut stop, &operation, &outcome).await;
        }
        Ok(outcome.into_inner())
    }

    /// Returns whether the time was over; false when `stop` came first.
    async fn repeat<E: Display>(
        self,
        time: Duration,
        stop: impl Future<Output = ()>,
        operation: &impl AsyncFn() -> Result<usize, E>,
        outcome: &RefCell<Outcome>,
    ) -> bool {
        let (pace, over) = (Pace::new(self.rate), CancellationToken::new());
        let loops: FuturesUnordered<_> = (0..self.parallel.max(1))
            .map(|_| one_after_another(operation, &pace, &over, outcome))
            .collect();
        let clock = async {
            let whole = tokio::select! {
                () = stop => false,
                () = sleep(time) => true,
            };
            over.cancel();
            (whole, Instant::now())
        };
        let start = Instant::now();
        // The clock first: what ends with it is the last.
        let ((whole, end), ()) = tokio::join!(biased; clock, loops.collect());
        let mut outcome = outcome.borrow_mut();
        outcome.elapsed = start.elapsed();
        for waited in pace.never_begun(end) {
            outcome.keep_waiting(waited);
        }
        whole
    }
}

async fn one_after_another<E: Display>(
    operation: &impl AsyncFn() -> Result<usize, E>,
    pace: &Pace,
    over: &CancellationToken,
    outcome: &RefCell<Outcome>,
) {
    while let Some(begin) = over.run_until_cancelled(pace.turn()).await {
        let answer = operation().await;
        let latency = begin.elapsed();
        match answer {
            Ok(rows) => outcome.borrow_mut().record(latency, rows),
            Err(error) => {
                outcome.borrow_mut().fail(&error);
                over.run_until_cancelled(sleep(AFTER_AN_ERROR)).await;
            }
        }
    }
}
