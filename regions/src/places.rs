//! The built-in places, Fly.io's regions: these need no coordinates in regions.toml.

use std::borrow::Cow;

/// A place where an instance may run, with or without a database of its own.
///
/// ```
/// use archipelago_regions::Place;
///
/// let depot = Place { code: "depot".into(), city: None, latitude: 52.1, longitude: 5.2 };
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// The code, as in `FLY_REGION`: a `&'static str` or a `String`, by `into()`.
    pub code: Cow<'static, str>,
    /// The city; `None` for a place that regions.toml adds.
    pub city: Option<&'static str>,
    /// Degrees north of the equator, -90 to 90.
    pub latitude: f64,
    /// Degrees east of Greenwich, -180 to 180.
    pub longitude: f64,
}

/// The built-in places in the order of their codes: Fly.io's 18 regions, and `atl`, which Fly.io
/// has closed.
///
/// The cities are those of <https://fly.io/docs/reference/regions/>. Each code is the IATA code of
/// an airport in that city. The coordinates are the airport's (<https://ourairports.com/>), because
/// Fly.io publishes no addresses.
#[must_use]
pub fn built_in_places() -> &'static [Place] {
    &BUILT_IN
}

static BUILT_IN: [Place; 19] = [
    place("ams", "Amsterdam, Netherlands", 52.3086, 4.7639),
    place("arn", "Stockholm, Sweden", 59.6519, 17.9186),
    place("atl", "Atlanta, Georgia (US)", 33.6367, -84.4281),
    place("bom", "Mumbai, India", 19.0887, 72.8679),
    place("cdg", "Paris, France", 49.0097, 2.5478),
    place("dfw", "Dallas, Texas (US)", 32.8968, -97.0380),
    place("ewr", "Secaucus, New Jersey (US)", 40.6925, -74.1687),
    place("fra", "Frankfurt, Germany", 50.0264, 8.5431),
    place("gru", "Sao Paulo, Brazil", -23.4356, -46.4731),
    place("iad", "Ashburn, Virginia (US)", 38.9445, -77.4558),
    place("jnb", "Johannesburg, South Africa", -26.1392, 28.2460),
    place("lax", "Los Angeles, California (US)", 33.9425, -118.4081),
    place("lhr", "London, United Kingdom", 51.4706, -0.4619),
    place("nrt", "Tokyo, Japan", 35.7647, 140.3864),
    place("ord", "Chicago, Illinois (US)", 41.9786, -87.9048),
    place("sin", "Singapore, Singapore", 1.3502, 103.9944),
    place("sjc", "San Jose, California (US)", 37.3619, -121.9290),
    place("syd", "Sydney, Australia", -33.9461, 151.1772),
    place("yyz", "Toronto, Canada", 43.6772, -79.6306),
];

pub(crate) const fn place(
    code: &'static str,
    city: &'static str,
    latitude: f64,
    longitude: f64,
) -> Place {
    Place { code: Cow::Borrowed(code), city: Some(city), latitude, longitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_and_unique() {
        assert!(BUILT_IN.is_sorted_by(|a, b| a.code < b.code));
    }

    #[test]
    fn every_place_is_on_the_globe() {
        for place in built_in_places() {
            assert!((-90.0..=90.0).contains(&place.latitude), "{place:?}");
            assert!((-180.0..=180.0).contains(&place.longitude), "{place:?}");
        }
    }
}
