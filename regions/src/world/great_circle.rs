//! The great-circle distance between two places.

use crate::places::Place;

/// The great-circle distance in kilometres, by the haversine formula (R. W. Sinnott, "Virtues of
/// the Haversine", Sky & Telescope 68, 1984). Treating the Earth as a sphere makes it up to 0.5 %
/// wrong.
///
/// Use [`round_trip`](crate::round_trip) to tell which place is nearer: cables do not follow great
/// circles.
#[must_use]
pub fn distance_km(a: &Place, b: &Place) -> f64 {
    let (north_a, north_b) = (a.latitude.to_radians(), b.latitude.to_radians());
    let half_north = (north_b - north_a) / 2.0;
    let half_east = (b.longitude - a.longitude).to_radians() / 2.0;
    let haversine =
        half_north.sin().powi(2) + north_a.cos() * north_b.cos() * half_east.sin().powi(2);
    // Rounding can put the haversine of antipodes just above 1, where asin is NaN.
    2.0 * MEAN_EARTH_RADIUS_KM * haversine.sqrt().min(1.0).asin()
}

/// The mean radius (2a + b) / 3 of the GRS 80 ellipsoid (H. Moritz, "Geodetic Reference System
/// 1980").
const MEAN_EARTH_RADIUS_KM: f64 = 6371.0088;
