//! What the observer saw of the servers and of this machine. Times count from the start of the run.

use std::time::Duration;

use super::Position;

/// How far a server had replayed.
#[derive(Clone, Debug)]
pub struct ReplaySample {
    /// When the server had answered.
    pub at: Duration,
    /// The server's region.
    pub region: String,
    /// Reads on this server could see everything up to this position.
    pub position: Position,
}

/// A stretch of time in which this process got no processor time. Delays in it break no promise.
#[derive(Clone, Copy, Debug)]
pub struct Stall {
    /// When the process last ran.
    pub from: Duration,
    /// When it ran again.
    pub until: Duration,
}
