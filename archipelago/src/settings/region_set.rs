//! What `repos!` declares of a set of regions: constants, and the order of nearness.

use std::time::Duration;

use crate::region::{Coordinates, RegionInfo, Writes};

/// The regions of a [`repos!`](crate::repos) call, and the limits that regions.toml sets for them.
pub trait RegionSet: 'static {
    /// The primary's region.
    const PRIMARY: &'static RegionInfo;
    /// Every region, the primary first.
    const REGIONS: &'static [RegionInfo];
    /// Every place that [`nearest_to`](Self::nearest_to) knows.
    const PLACES: &'static [&'static str];
    /// Where the places are; empty where the macro was written by hand.
    const COORDINATES: &'static [Coordinates] = &[];
    /// Connections to each region unless `POOL_SIZE` is set.
    const POOL_SIZE: u32 = 10;
    /// How far behind the primary a read may be by default: `[routing] max_lag`.
    const MAX_LAG: Duration = Duration::from_secs(10);
    /// How many reads of an instance elsewhere the primary serves at once: `[routing] max_spill`.
    const MAX_SPILL: u32 = 100;
    /// Where a write from afar runs: `[routing] writes`.
    const WRITES: Writes = Writes::Replay;
    /// Whether writes follow a promotion to another region: `[routing] follow_promotions`. Otherwise
    /// they go to [`PRIMARY`](Self::PRIMARY) and nowhere else.
    const FOLLOW_PROMOTIONS: bool = true;

    /// The replicas by nearness to a place, the nearest first. Empty for an unknown place.
    fn nearest_to(place: &str) -> impl Iterator<Item = &'static str>;

    /// Whether `code` is a region of this set, or a place that [`nearest_to`](Self::nearest_to)
    /// knows.
    #[must_use]
    fn knows(code: &str) -> bool {
        Self::PLACES.contains(&code) || Self::REGIONS.iter().any(|info| info.region == code)
    }
}
