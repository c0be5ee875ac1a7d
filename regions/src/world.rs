//! The model of the world: how long a packet travels between two places, along the cables that there are.
//!
//! Cables do not follow great circles: from Tokyo to Amsterdam they go by America, 17,400 km instead of 9,300. So a line is
//! the shortest path through a small graph of hubs (`regions/src/world/hubs.rs`) and cables (`regions/src/world/cables.rs`),
//! its legs are great circles, and one factor makes up for all the bends that the graph leaves out. How well it fits what was
//! measured, and every line between two built-in places, is in `regions/tests/world/round_trips.txt`.

mod cables;
mod distance;
mod hubs;
mod network;

pub use distance::distance_km;

use crate::Place;
use network::WORLD;
use std::time::Duration;

/// How long a packet travels from `a` to `b` and back.
///
/// A model, not a measurement: the time that light takes through [`cable_km`] of fibre, with a factor for its bends. It leaves
/// out queues, switches, the last mile and what the servers do, so within one city it is next to nothing. It knows cables, not
/// contracts: where networks hand packets over far away, the truth is longer. The article's four medians are met within
/// 20 %, and so is nearly every line over 25 ms that IBM Cloud publishes (`regions/tests/world.rs`).
///
/// It is the same in both directions, zero between equal coordinates, and no detour by a third place is shorter.
///
/// Costs some twenty microseconds, and the first call in a process some milliseconds.
///
/// ```
/// use archipelago_regions::{Place, built_in_places, round_trip};
///
/// let depot = Place { code: "depot".into(), city: None, latitude: 52.1, longitude: 5.2 };
/// let tokyo = built_in_places().iter().find(|place| place.code == "nrt").unwrap();
/// assert_eq!(round_trip(&depot, tokyo).as_millis(), 248);
/// ```
#[must_use]
pub fn round_trip(a: &Place, b: &Place) -> Duration {
    Duration::from_secs_f64(2.0 * DETOUR * cable_km(a, b) / FIBRE_KM_PER_SECOND)
}

/// The length of the line from `a` to `b` in kilometres: great circles from hub to hub, the shortest way there is by cables.
///
/// Where no cable is known, which is from a place to the hubs around it or to its neighbours, a kilometre counts two and a half
/// times: roads and regional networks wind more than cables do, and no such line bridges an ocean or Siberia. The bends
/// between two hubs are not in it, only in [`round_trip`].
#[must_use]
pub fn cable_km(a: &Place, b: &Place) -> f64 {
    WORLD.km(a, b)
}

/// How much longer the fibre is than the line in the model: it follows coasts, railways and the sea floor.
///
/// The one number that is fitted. The article has medians of 127.82 ms from `nrt` to `ord`, 137.27 to `syd`, 168.88 to `atl`
/// and 219.86 to `ams`. Factors from 1.35 to 1.56 bring all four within 25 %, this one within 20 %.
const DETOUR: f64 = 1.45;

/// The speed of light in vacuum, divided by the group index of single-mode fibre at 1550 nm: 1.468 (Corning SMF-28 Ultra,
/// product information PI1424).
const FIBRE_KM_PER_SECOND: f64 = 299_792.458 / 1.468;
