//! Suggestions: the known word closest to an unknown one, and the place in a city.

use crate::places::{Place, built_in_places};
use crate::region_code::MAX_REGION_CODE_LEN;
use strsim::osa_distance;

/// Suggests a known code for an unknown one.
///
/// Comparing every unknown code with every known one takes quadratic time. So the first unknown
/// codes of a file get a suggestion, until [`MAX_COMPARISONS`] are made.
pub(super) struct Suggestions<'k> {
    known: Vec<&'k str>,
    comparisons_left: usize,
}

/// Enough for 800 unknown codes and 100 places, and done in a fraction of a second.
const MAX_COMPARISONS: usize = 100_000;

impl<'k> Suggestions<'k> {
    pub fn of(known: impl IntoIterator<Item = &'k str>) -> Self {
        Self { known: known.into_iter().collect(), comparisons_left: MAX_COMPARISONS }
    }

    /// The known code that is closest to `unknown`, or that of the place in a city of that name.
    pub fn for_code(&mut self, unknown: &str) -> Option<&'k str> {
        let comparisons = self.known.len() + built_in_places().len();
        self.comparisons_left = self.comparisons_left.checked_sub(comparisons)?;
        closest(unknown, self.known.iter().copied()).or_else(|| {
            let place = place_in_city(unknown)?;
            self.known.iter().copied().find(|code| *code == place.code)
        })
    }
}

/// The word closest to `unknown`, if one is within one typing error (two in a word of more than
/// five letters).
pub(super) fn closest<'w>(
    unknown: &str,
    words: impl IntoIterator<Item = &'w str>,
) -> Option<&'w str> {
    let unknown = unknown.to_lowercase();
    let length = unknown.chars().count();
    let max_distance = if length <= 5 { 1 } else { 2 };
    let distance = |word: &str| {
        let is_short_form = length >= 3 && (word.starts_with(&unknown) || word.ends_with(&unknown));
        if is_short_form {
            Some(1)
        } else if word.chars().count().abs_diff(length) > max_distance {
            None
        } else {
            Some(osa_distance(&unknown, word)).filter(|distance| *distance <= max_distance)
        }
    };
    words
        .into_iter()
        .filter_map(|word| Some((distance(word)?, word)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// The built-in place whose city, state or country is called `name`: `tokyo` is `nrt`.
pub(super) fn place_in_city(name: &str) -> Option<&'static Place> {
    let name = letters(name);
    if !(4..=MAX_REGION_CODE_LEN).contains(&name.len()) {
        return None;
    }
    let max_distance = usize::from(name.len() >= 5);
    let distance = |place: &'static Place| {
        let parts = place.city?.split(',').map(|part| letters(part.trim_end_matches("(US)")));
        parts.map(|part| osa_distance(&name, &part)).min()
    };
    built_in_places()
        .iter()
        .filter_map(|place| Some((distance(place)?, place)))
        .filter(|(distance, _)| *distance <= max_distance)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, place)| place)
}

fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphabetic()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_word() {
        let words = ["primary", "replicas", "nrt", "max_lag"];
        for (unknown, suggested) in [
            ("ntr", Some("nrt")),
            ("NRTT", Some("nrt")),
            ("primery", Some("primary")),
            ("pirmaryy", Some("primary")),
            ("replica", Some("replicas")),
            ("lag", Some("max_lag")),
            ("", None),
            ("title", None),
            ("ag", None),
            ("naxx", None),
        ] {
            assert_eq!(closest(unknown, words), suggested, "{unknown}");
        }
    }

    #[test]
    fn a_city_leads_to_its_code() {
        for (name, code) in [
            ("tokyo", "nrt"),
            ("sao-paulo", "gru"),
            ("London", "lhr"),
            ("virginia", "iad"),
            ("frankfurd", "fra"),
        ] {
            assert_eq!(place_in_city(name).map(|place| place.code.as_ref()), Some(code), "{name}");
        }
        assert_eq!(place_in_city("atlantis"), None);
    }
}
