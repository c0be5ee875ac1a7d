//! The outcome of a measurement: the latencies, the errors, and the figures computed from them.

use std::fmt::Display;
use std::time::Duration;

use hdrhistogram::Histogram;

pub use hdrhistogram::CreationError;

/// Significant digits of a recorded latency: 127.8 ms and 127.9 ms are told apart.
const DIGITS: u8 = 3;

/// A longer latency is recorded as this one.
const LONGEST: Duration = Duration::from_hours(1);

/// What [`Plan::measure`](crate::Plan::measure) recorded.
///
/// The figures are `None` when no iteration succeeded.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// In nanoseconds, at most [`LONGEST`].
    latencies: Histogram<u64>,
    /// How many iterations succeeded.
    pub succeeded: u64,
    /// How many iterations failed. They have no latency.
    pub errors: u64,
    /// The message of the last error.
    pub last_error: Option<String>,
    /// How many iterations were due but never began, because every loop was busy. The time that
    /// they waited until the end is recorded as their latency, which would have been at least that.
    pub never_begun: u64,
    /// The number of rows that the last successful iteration returned.
    pub rows: Option<usize>,
    /// The time from the beginning of the first iteration to the end of the last one.
    pub elapsed: Duration,
}

/// The figures of an outcome. Times are in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Summary {
    /// Successful iterations per second of all loops together.
    pub per_second: f64,
    /// The average latency.
    pub average: f64,
    /// The standard deviation of the latencies, in percent of the average.
    pub deviation: f64,
    /// The 1st percentile.
    pub p1: f64,
    /// The first quartile.
    pub p25: f64,
    /// The median.
    pub median: f64,
    /// The third quartile.
    pub p75: f64,
    /// The 99th percentile.
    pub p99: f64,
}

impl Outcome {
    /// An outcome without iterations.
    ///
    /// # Errors
    /// When the histogram cannot be created, which does not happen on a 64-bit machine.
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

    /// Records an iteration that succeeded.
    pub fn record(&mut self, latency: Duration, rows: usize) {
        self.succeeded += 1;
        self.rows = Some(rows);
        self.record_latency(latency);
    }

    /// Records an iteration that failed.
    pub fn record_error(&mut self, error: &impl Display) {
        self.errors += 1;
        self.last_error = Some(error.to_string());
    }

    /// Records an iteration that was due but never began.
    pub(crate) fn record_never_begun(&mut self, waited: Duration) {
        self.never_begun += 1;
        self.record_latency(waited);
    }

    fn record_latency(&mut self, latency: Duration) {
        self.latencies.saturating_record(nanoseconds(latency));
    }

    /// Successful iterations per second of all loops together.
    #[must_use]
    pub fn per_second(&self) -> Option<f64> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a measurement has fewer than 2^53 iterations"
        )]
        let succeeded = self.succeeded as f64;
        (self.succeeded > 0).then(|| succeeded / self.elapsed.as_secs_f64())
    }

    /// The average latency.
    #[must_use]
    pub fn average(&self) -> Option<Duration> {
        (self.succeeded > 0).then(|| Duration::from_secs_f64(self.latencies.mean() / 1e9))
    }

    /// The standard deviation of the latencies as a fraction of the average: 0.35 is 35 %.
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

    /// All figures that tables, JSON and charts show.
    #[must_use]
    pub fn summary(&self) -> Option<Summary> {
        let percentile = |percent| self.percentile(percent).map(milliseconds);
        Some(Summary {
            per_second: self.per_second()?,
            average: self.average().map(milliseconds)?,
            deviation: self.deviation()? * 100.0,
            p1: percentile(1.0)?,
            p25: percentile(25.0)?,
            median: percentile(50.0)?,
            p75: percentile(75.0)?,
            p99: percentile(99.0)?,
        })
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A duration as a number of milliseconds.
#[must_use]
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
