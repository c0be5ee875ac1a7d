//! The model of the world: round-trip times between places, along the known cables.
//!
//! Cables do not follow great circles: from Tokyo to Amsterdam they run through America, 17,400 km
//! instead of 9,300. So the model finds the shortest path through a small graph of hubs
//! (`regions/src/world/hubs.rs`) and cables (`regions/src/world/cables.rs`). Each leg is a great
//! circle, and one factor accounts for all bends between hubs.
//! `regions/tests/world/round_trips.txt` compares the model with measurements and lists the round
//! trip between any two built-in places.
//!
//! "The article" in these comments is a comparison from 2021: a Phoenix app on Fly.io, whose
//! databases in four other regions were queried from Tokyo.

mod cables;
mod great_circle;
mod hubs;
mod network;

pub use great_circle::distance_km;

use crate::places::Place;
use network::WORLD;
use std::time::Duration;

/// Estimates how long a packet travels from `a` to `b` and back.
///
/// The result is the time that light takes through [`cable_km`] of fibre, times a factor for the
/// bends of the fibre. Queues, switches, the last mile and the servers are left out, so within one
/// city the result is almost zero. It models cables and not peering: where networks exchange
/// traffic far away, the real time is longer. `regions/tests/regions/world.rs` tests how well it
/// fits: within 20 % of four medians from Tokyo on Fly.io (2021), in their order, and of nearly
/// every round trip over 25 ms that IBM Cloud publishes.
///
/// It is the same in both directions, zero between equal coordinates, and keeps the triangle
/// inequality.
///
/// A call takes about twenty microseconds, and the first call of a process some milliseconds.
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
    Duration::from_secs_f64(2.0 * DETOUR_FACTOR * cable_km(a, b) / FIBRE_KM_PER_SECOND)
}

/// The length of the shortest line from `a` to `b` along cables, in kilometres.
///
/// Each leg is a great circle from hub to hub; only [`round_trip`] adds the bends between them.
/// Distance off the cables, between a place and the hubs around it or its neighbours, is weighted
/// 2.5 times: roads and regional networks wind more than cables do. The weight also keeps such
/// legs from crossing an ocean or Siberia.
#[must_use]
pub fn cable_km(a: &Place, b: &Place) -> f64 {
    WORLD.shortest_km(a, b)
}

/// How much longer the fibre is than the model's line: it follows coasts, railways and the sea
/// floor.
///
/// This is the only fitted number. The article's medians are 127.82 ms from `nrt` to `ord`, 137.27
/// to `syd`, 168.88 to `atl` and 219.86 to `ams`. Factors from 1.14 to 1.56 fit all four within
/// 25 %, this one within 16 %.
const DETOUR_FACTOR: f64 = 1.45;

/// The speed of light in vacuum, divided by the group index of single-mode fibre at 1550 nm: 1.468
/// (Corning SMF-28 Ultra, product information PI1424).
const FIBRE_KM_PER_SECOND: f64 = 299_792.458 / 1.468;
