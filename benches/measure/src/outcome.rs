//! What came of a measurement: the latencies, and what did not work.

use std::fmt::Display;
use std::time::Duration;

use hdrhistogram::Histogram;

pub use hdrhistogram::CreationError;

/// Latencies are kept to three digits: 127.8 ms is told from 127.9 ms.
const DIGITS: u8 = 3;

/// A longer one counts as so long.
const LONGEST: Duration = Duration::from_hours(1);

/// What [`Plan::measure`](super::Plan::measure) found. A figure is none where no iteration succeeded.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// In nanoseconds, up to [`LONGEST`].
    latencies: Histogram<u64>,
    /// Iterations that succeeded.
    pub succeeded: u64,
    /// Iterations that failed. They have no latency.
    pub errors: u64,
    /// What the last of those said.
    pub last_error: Option<String>,
    /// Iterations that a rate had made due, and that never began because every loop was busy. Their latencies are those of
    /// iterations that ended with the measurement: they were no shorter.
    pub never_begun: u64,
    /// What the last iteration that succeeded counted: the rows of its answer.
    pub rows: Option<usize>,
    /// From the first iteration's beginning to the last one's end.
    pub elapsed: Duration,
}

impl Outcome {
    /// Nothing yet.
    ///
    /// # Errors
    /// When the histogram cannot be made, for which a machine of 64 bits has no reason.
    pub fn new() -> Result<Self, CreationError> {
        Ok(Self {
            latencies: Histogram::new_with_bounds(1, nanoseconds(LONGEST), DIGITS)?,
            succeeded: 0,
            errors: 0,
            last_error: None,
            never_begun: 0,
            rows: None,
            elapsed: Duration::ZERO,
        })
    }

    /// One more iteration that succeeded.
    pub fn record(&mut self, latency: Duration, rows: usize) {
        self.succeeded += 1;
        self.rows = Some(rows);
        self.keep(latency);
    }

    /// One more iteration that failed.
    pub fn fail(&mut self, error: &impl Display) {
        self.errors += 1;
        self.last_error = Some(error.to_string());
    }

    /// One more iteration that never began.
    pub(super) fn keep_waiting(&mut self, waited: Duration) {
        self.never_begun += 1;
        self.keep(waited);
    }

    fn keep(&mut self, latency: Duration) {
        self.latencies.saturating_record(nanoseconds(latency));
    }

    /// Iterations that succeeded per second of all loops together.
    #[must_use]
    pub fn per_second(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "nobody waits for 2^53 iterations")]
        let succeeded = self.succeeded as f64;
        (self.succeeded > 0).then(|| succeeded / self.elapsed.as_secs_f64())
    }

    /// The average latency.
    #[must_use]
    pub fn average(&self) -> Option<Duration> {
        (self.succeeded > 0).then(|| Duration::from_secs_f64(self.latencies.mean() / 1e9))
    }

    /// The standard deviation of the latencies, as a share of the average: 0.35 is 35 %.
    #[must_use]
    pub fn deviation(&self) -> Option<f64> {
        (self.succeeded > 0).then(|| self.latencies.stdev() / self.latencies.mean().max(1.0))
    }

    /// The latency that `percent` of the iterations did not exceed: 50 is the median.
    #[must_use]
    pub fn percentile(&self, percent: f64) -> Option<Duration> {
        (self.succeeded > 0)
            .then(|| Duration::from_nanos(self.latencies.value_at_percentile(percent)))
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
