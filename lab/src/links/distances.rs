//! How far apart places are, as round-trip times.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use archipelago_regions::{Place, built_in_places, check_distances};

use crate::LabError;
use crate::pair::Pair;

/// The round-trip times between places. None at all, unless somebody says otherwise.
///
/// ```
/// use std::time::Duration;
///
/// use archipelago_lab::Distances;
///
/// let distances = Distances::of_the_world().with_round_trip("nrt", "syd", Duration::from_millis(137));
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
    /// Those between the places that Archipelago knows by itself, by its model of the world.
    #[must_use]
    pub fn of_the_world() -> Self {
        Self::among(built_in_places().iter().cloned())
    }

    /// Those between these places, by the model of the world: [`archipelago_regions::round_trip`]. A regions.toml has them in
    /// [`Regions::places`](archipelago_regions::Regions::places), the built-in ones among them.
    #[must_use]
    pub fn among(places: impl IntoIterator<Item = Place>) -> Self {
        let places = places.into_iter().map(|place| (place.code.to_string(), place)).collect();
        Self { places, given: HashMap::new() }
    }

    /// Makes this the round-trip time between two places, in either direction. Within a place it is ignored.
    #[must_use]
    pub fn with_round_trip(mut self, a: &str, b: &str, round_trip: Duration) -> Self {
        if let Some(pair) = Pair::of(a, b) {
            self.given.insert(pair, round_trip);
        }
        self
    }

    /// Takes the round-trip times from a TOML file, and leaves all others as they are:
    ///
    /// ```toml
    /// nrt = { ord = "128ms", syd = "137ms" }
    /// ord = { syd = "198ms" }
    /// ```
    ///
    /// # Errors
    /// When the file cannot be read; [`LabError::Distances`] with every mistake in it, each with its line: a duration that is
    /// none, a pair with two distances, a place that is none of these (where no places were given, every name will do).
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

    /// The round-trip time between two places; zero within a place, and where it is not known.
    #[must_use]
    pub fn round_trip(&self, a: &str, b: &str) -> Duration {
        Pair::of(a, b).map_or(Duration::ZERO, |pair| self.between(&pair))
    }

    /// Whether the distance of this place from any other is known.
    pub(crate) fn knows(&self, place: &str) -> bool {
        self.places.contains_key(place)
            || self.given.keys().any(|pair| pair.places().contains(&place))
    }

    pub(crate) fn between(&self, pair: &Pair) -> Duration {
        let by_the_model = || {
            let [a, b] = pair.places().map(|place| self.places.get(place));
            Some(archipelago_regions::round_trip(a?, b?))
        };
        self.given.get(pair).copied().or_else(by_the_model).unwrap_or_default()
    }
}
