//! How far apart places are, as round-trip times.

use std::collections::HashMap;
use std::time::Duration;

use crate::pair::Pair;

/// The round-trip times between places. None at all, unless somebody says otherwise.
#[derive(Debug, Clone, Default)]
pub struct Distances {
    given: HashMap<Pair, Duration>,
}

impl Distances {
    /// Makes this the round-trip time between two places, in both directions together. Within a place it is ignored.
    #[must_use]
    pub fn with_round_trip(mut self, a: &str, b: &str, round_trip: Duration) -> Self {
        if let Some(pair) = Pair::of(a, b) {
            self.given.insert(pair, round_trip);
        }
        self
    }

    /// The round-trip time between two places; zero within a place, and where it is not known.
    #[must_use]
    pub fn round_trip(&self, a: &str, b: &str) -> Duration {
        Pair::of(a, b).map_or(Duration::ZERO, |pair| self.between(&pair))
    }

    pub(crate) fn between(&self, pair: &Pair) -> Duration {
        self.given.get(pair).copied().unwrap_or_default()
    }
}
