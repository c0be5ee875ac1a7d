//! How an operation is repeated: for how long, by how many loops, and how often.

use std::cell::RefCell;
use std::fmt::Display;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::outcome::{CreationError, Outcome};
use crate::pace::Pace;

/// How long a loop waits after an error. A refused connection fails within microseconds, so
/// without this pause a server that is down would be flooded with attempts.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);

/// How an operation is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// For how long the operation is repeated before iterations count, so that connections are
    /// open and caches are filled.
    pub warm_up: Duration,
    /// For how long the operation is repeated and measured.
    pub time: Duration,
    /// How many loops run at the same time; 0 means 1.
    ///
    /// All loops run in one task: the operation may wait, but should not compute for long.
    pub parallel: u32,
    /// Iterations per second of all loops together. With `None`, each loop begins an iteration
    /// when its previous one ends.
    ///
    /// With a rate, a latency counts from the moment when the iteration was due, even if no loop
    /// was free at that moment. A server that stalls is thereby charged for every request that
    /// would have arrived during the stall. Without a rate, a stall is a single slow iteration and
    /// the requests that it held up are missing, which is called coordinated omission.
    pub rate: Option<u32>,
}

impl Plan {
    /// Warms up, then measures until the time is over or `stop` resolves.
    ///
    /// The operation returns how many rows it read or wrote. When the measurement ends, iterations
    /// that have begun are completed and count. An error does not end the measurement: errors are
    /// counted, without a latency. Dropping the future cancels the iterations that have begun.
    ///
    /// # Errors
    /// When the histogram cannot be created, which does not happen on a 64-bit machine.
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

    /// Repeats the operation; true if the whole `time` has passed, false if `stop` resolved first.
    async fn repeat<E: Display>(
        self,
        time: Duration,
        stop: impl Future<Output = ()>,
        operation: &impl AsyncFn() -> Result<usize, E>,
        outcome: &RefCell<Outcome>,
    ) -> bool {
        let (pace, ended) = (Pace::new(self.rate), CancellationToken::new());
        let loops: FuturesUnordered<_> = (0..self.parallel.max(1))
            .map(|_| run_loop(operation, &pace, &ended, outcome))
            .collect();
        let clock = async {
            let is_complete = tokio::select! {
                () = stop => false,
                () = sleep(time) => true,
            };
            ended.cancel();
            (is_complete, Instant::now())
        };
        let start = Instant::now();
        // The clock is polled first: an iteration that ends at the same moment is the last one.
        let ((is_complete, end), ()) = tokio::join!(biased; clock, loops.collect());
        let mut outcome = outcome.borrow_mut();
        outcome.elapsed = start.elapsed();
        for waited in pace.never_begun(end) {
            outcome.record_never_begun(waited);
        }
        is_complete
    }

    /// How often the operation is repeated, in words.
    #[must_use]
    pub fn pace_in_words(&self) -> String {
        let loops = match self.parallel {
            1 => "1 loop".to_owned(),
            loops => format!("{loops} loops in parallel"),
        };
        match self.rate {
            Some(rate) => format!("{rate} iterations per second by {loops}"),
            None => format!("{loops}, back to back"),
        }
    }
}

/// Runs one iteration after the other until `ended` is cancelled.
async fn run_loop<E: Display>(
    operation: &impl AsyncFn() -> Result<usize, E>,
    pace: &Pace,
    ended: &CancellationToken,
    outcome: &RefCell<Outcome>,
) {
    while let Some(begin) = ended.run_until_cancelled(pace.next()).await {
        let answer = operation().await;
        let latency = begin.elapsed();
        match answer {
            Ok(rows) => outcome.borrow_mut().record(latency, rows),
            Err(error) => {
                outcome.borrow_mut().record_error(&error);
                ended.run_until_cancelled(sleep(PAUSE_AFTER_ERROR)).await;
            }
        }
    }
}
