//! How far apart places are, as round-trip times.

use std::time::Duration;

/// The round-trip times between places. None at all, unless somebody says otherwise.
#[derive(Debug, Clone, Default)]
pub struct Distances {}

impl Distances {
    /// The round-trip time between two places; zero within a place, and where it is not known.
    #[must_use]
    pub fn round_trip(&self, _a: &str, _b: &str) -> Duration {
        Duration::ZERO
    }
}
