//! What a `regions.toml` without a mistake says.

use crate::Place;
use std::time::Duration;

/// A checked `regions.toml`: everything in it can be relied on.
#[derive(Clone, Debug, PartialEq)]
pub struct Regions {
    /// The file's name, as it was given to [`check`](crate::check()).
    pub file: String,
    /// The region whose database takes the writes.
    pub primary: Region,
    /// The regions with a read replica, as listed in the file. No code comes twice.
    pub replicas: Vec<Region>,
    /// Every place an instance may run in, in the order of their codes: the built-in ones and those under `[places]`.
    pub places: Vec<Place>,
    /// Connections a pool may open, 1 to 1000; `None` when the file leaves it open.
    pub pool_size: Option<u32>,
    /// How far behind the primary a replica may be and still serve reads, 1 ms to 24 h.
    pub max_lag: Option<Duration>,
    /// Reads that may be under way to the primary at once, from an instance elsewhere, 1 to 100000.
    pub max_spill: Option<u32>,
    /// What becomes of a write that arrives outside the primary's region.
    pub writes: Option<Writes>,
}

/// One region with a database.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// Where it is; `place.code` is the region's code.
    pub place: Place,
    /// The line of `regions.toml`, from 1, where the code is listed.
    pub line: usize,
    /// The environment variable that holds this region's URL, instead of a host made from `DATABASE_URL`.
    pub url_env: Option<String>,
}

/// What becomes of a write that arrives outside the primary's region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// The request is run again in the primary's region.
    Replay,
    /// The instance writes to the primary over the long line.
    Direct,
}
