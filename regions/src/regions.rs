//! The content of a valid regions.toml.

use crate::places::Place;
use std::time::Duration;

/// The content of a valid regions.toml.
#[derive(Clone, Debug, PartialEq)]
pub struct Regions {
    /// The file's name, as it was given to [`check`](crate::check()).
    pub file: String,
    /// The region whose database takes the writes.
    pub primary: Region,
    /// The regions with a read replica, in the order of the file. No code is listed twice.
    pub replicas: Vec<Region>,
    /// Every place where an instance may run, built-in or from `[places]`, in the order of their
    /// codes.
    pub places: Vec<Place>,
    /// The most connections of one pool, 1 to 1000; `None` if the file does not set it.
    pub pool_size: Option<u32>,
    /// How far behind the primary a replica may be and still serve reads, 1 ms to 24 h; `None` if
    /// the file does not set it.
    pub max_lag: Option<Duration>,
    /// The most concurrent reads that an instance in another region may send to the primary, 1 to
    /// 100000; `None` if the file does not set it.
    pub max_spill: Option<u32>,
    /// How a write outside the primary's region is handled; `None` if the file does not set it.
    pub writes: Option<Writes>,
    /// `[routing] follow_promotions`: whether writes follow a promotion to another region.
    pub follow_promotions: Option<bool>,
}

/// One server: a region has one, or several replicas.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// Where it is; `place.code` is the region's code.
    pub place: Place,
    /// Which of the region's servers it is, from 1 (`[places.CODE] servers`).
    pub server: u32,
    /// The line of regions.toml that lists the region, from 1.
    pub line: usize,
    /// The environment variable that holds this region's URL; `None` if the URL is derived from
    /// `DATABASE_URL`.
    pub url_env: Option<String>,
}

impl Region {
    /// The server's code: the region's for its first one, `ord-2` for the second.
    #[must_use]
    pub fn code(&self) -> String {
        server_code(&self.place.code, self.server)
    }
}

pub(crate) fn server_code(region: &str, server: u32) -> String {
    if server == 1 { region.to_owned() } else { format!("{region}-{server}") }
}

/// How a write that arrives outside the primary's region is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// The request is run again in the primary's region.
    Replay,
    /// The instance writes to the primary across regions.
    Direct,
}
