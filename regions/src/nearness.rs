//! How near two places are, and so in which order a place asks the replicas.

use crate::Place;

/// The replicas in the order in which reads from `from` should try them: nearest first.
///
/// The primary is no part of it. It serves reads in its own region and when nothing else is left, so the router adds
/// it last. A place with a replica of its own begins with itself. Equal distances go by code, so that the order does
/// not depend on the order of regions.toml.
#[must_use]
pub fn order<'a>(from: &Place, replicas: impl IntoIterator<Item = &'a Place>) -> Vec<&'a Place> {
    let mut replicas: Vec<&Place> = replicas.into_iter().collect();
    replicas.sort_by(|a, b| {
        let elsewhere = (a.code != from.code).cmp(&(b.code != from.code));
        let distance = distance_km(from, a).total_cmp(&distance_km(from, b));
        elsewhere.then(distance).then_with(|| a.code.cmp(&b.code))
    });
    replicas
}

/// The great-circle distance in kilometres, by the haversine formula (R. W. Sinnott, "Virtues of the Haversine",
/// Sky & Telescope 68, 1984). The Earth taken as a sphere puts it at most about 0.5 % off.
#[must_use]
pub fn distance_km(a: &Place, b: &Place) -> f64 {
    let (north_a, north_b) = (a.latitude.to_radians(), b.latitude.to_radians());
    let half_north = (north_b - north_a) / 2.0;
    let half_east = (b.longitude - a.longitude).to_radians() / 2.0;
    let haversine = half_north.sin().powi(2) + north_a.cos() * north_b.cos() * half_east.sin().powi(2);
    // Rounding can put the haversine of antipodes just above 1, where asin is NaN.
    2.0 * MEAN_EARTH_RADIUS_KM * haversine.sqrt().min(1.0).asin()
}

/// The mean radius (2a + b) / 3 of the GRS 80 ellipsoid (H. Moritz, "Geodetic Reference System 1980").
const MEAN_EARTH_RADIUS_KM: f64 = 6371.0088;
