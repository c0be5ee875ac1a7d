//! How far apart places are, as round-trip times.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use archipelago_regions::{Place, built_in_places, check_distances};

use crate::LabError;
use crate::links::pair::Pair;

/// The round-trip times between places; by default all are zero.
///
/// ```
/// use std::time::Duration;
///
/// use archipelago_lab::Distances;
///
/// let distances =
///     Distances::of_the_world().with_round_trip("nrt", "syd", Duration::from_millis(137));
/// assert_eq!(distances.round_trip("syd", "nrt").as_millis(), 137);
/// assert!(distances.round_trip("nrt", "ord").as_millis() > 100);
/// assert!(distances.round_trip("nrt", "atlantis").is_zero());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Distances {
    places: HashMap<String, Place>,
    given: HashMap<Pair, Duration>,
}

impl Distances {
    /// The round-trip times between Archipelago's built-in places, by its model of the world.
    #[must_use]
    pub fn of_the_world() -> Self {
        Self::among(built_in_places().iter().cloned())
    }

    /// The round-trip times between these places, by the model of the world:
    /// [`archipelago_regions::round_trip`]. The places of a regions.toml, with the built-in ones,
    /// are [`Regions::places`](archipelago_regions::Regions::places).
    #[must_use]
    pub fn among(places: impl IntoIterator<Item = Place>) -> Self {
        let places = places.into_iter().map(|place| (place.code.to_string(), place)).collect();
        Self { places, given: HashMap::new() }
    }

    /// Sets the round-trip time between two places, the same in both directions. Within a place it
    /// is ignored.
    #[must_use]
    pub fn with_round_trip(mut self, a: &str, b: &str, round_trip: Duration) -> Self {
        if let Some(pair) = Pair::of(a, b) {
            self.given.insert(pair, round_trip);
        }
        self
    }

    /// Sets the round-trip times that a TOML file gives, and leaves all others as they are:
    ///
    /// ```toml
    /// nrt = { ord = "128ms", syd = "137ms" }
    /// ord = { syd = "198ms" }
    /// ```
    ///
    /// # Errors
    /// When the file cannot be read; [`LabError::Distances`] with every mistake and its line: an
    /// invalid duration, a pair with two distances, an unknown place. If no places are known, any
    /// name is valid.
    pub fn with_file(self, file: impl AsRef<Path>) -> Result<Self, LabError> {
        let file = file.as_ref();
        let source = fs::read_to_string(file).map_err(LabError::file("read", file))?;
        let known: Vec<_> = self.places.keys().map(String::as_str).collect();
        let read = check_distances(&file.display().to_string(), &source, &known);
        let read = read.map_err(|mistakes| LabError::Distances { mistakes })?;
        Ok(read
            .into_iter()
            .fold(self, |distances, it| distances.with_round_trip(&it.a, &it.b, it.round_trip)))
    }

    /// The round-trip time between two places; zero within a place, and if it is unknown.
    #[must_use]
    pub fn round_trip(&self, a: &str, b: &str) -> Duration {
        Pair::of(a, b).map_or(Duration::ZERO, |pair| self.between(&pair))
    }

    /// Whether the distance between this place and any other is known.
    pub(crate) fn knows(&self, place: &str) -> bool {
        self.places.contains_key(place)
            || self.given.keys().any(|pair| pair.places().contains(&place))
    }

    pub(super) fn between(&self, pair: &Pair) -> Duration {
        let by_the_model = || {
            let [a, b] = pair.places().map(|place| self.places.get(place));
            Some(archipelago_regions::round_trip(a?, b?))
        };
        self.given.get(pair).copied().or_else(by_the_model).unwrap_or_default()
    }
}
