//! What each region was like in the last minutes, sampled: for the curves on `/regions`.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::status::{RegionStatus, State};

/// Between two samples.
pub(crate) const SAMPLE_EVERY: Duration = Duration::from_secs(2);

/// Four minutes.
pub(crate) const SAMPLES: usize = 120;

/// A region at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    /// A replica's lag or a primary's round trip, in seconds; none where it is unknown.
    pub(crate) seconds: Option<f64>,
    pub(crate) is_down: bool,
    pub(crate) is_replica: bool,
}

/// The samples of every region, the oldest first.
#[derive(Default)]
pub(crate) struct Samples(HashMap<&'static str, VecDeque<Sample>>);

impl Samples {
    pub(super) fn take(&mut self, regions: &[RegionStatus]) {
        for status in regions {
            let samples = self.0.entry(status.region).or_default();
            // A lag is not compared with a round trip.
            if samples.back().is_some_and(|last| last.is_replica != status.is_replica()) {
                samples.clear();
            }
            if samples.len() == SAMPLES {
                samples.pop_front();
            }
            let round_trip = status.round_trip_ms.map(|milliseconds| milliseconds / 1000.0);
            let lag = if status.has_everything() { Some(0.0) } else { status.lag_seconds };
            let seconds = if status.is_replica() { lag } else { round_trip };
            let (is_down, is_replica) = (status.state() == State::Down, status.is_replica());
            samples.push_back(Sample { seconds, is_down, is_replica });
        }
    }

    pub(crate) fn of(&self, region: &str) -> impl ExactSizeIterator<Item = Sample> + Clone {
        self.0.get(region).map(VecDeque::iter).unwrap_or_default().copied()
    }
}
