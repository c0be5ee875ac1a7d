//! What someone most likely meant: the nearest word, the place of that city.

use crate::{Place, built_in_places};

/// The word nearest to `wrong`, if one is near enough to be meant.
pub(super) fn nearest<'w>(
    wrong: &str,
    words: impl IntoIterator<Item = &'w str>,
) -> Option<&'w str> {
    let wrong = wrong.to_lowercase();
    let allowed = if wrong.chars().count() <= 5 { 1 } else { 2 };
    let mut best: Option<(usize, &str)> = None;
    for word in words {
        let short_form = wrong.len() >= 3 && (word.starts_with(&wrong) || word.ends_with(&wrong));
        let distance = if short_form { 1 } else { edit_distance(&wrong, word) };
        if distance <= allowed && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, word));
        }
    }
    best.map(|(_, word)| word)
}

/// The built-in place whose city, state or country is called so: `tokyo` is `nrt`.
pub(super) fn place_called(name: &str) -> Option<&'static Place> {
    let name = letters(name);
    if name.len() < 4 {
        return None;
    }
    let allowed = usize::from(name.len() >= 5);
    let parts_of = |place: &'static Place| {
        place.city.unwrap_or_default().split(',').map(|part| letters(part.trim_end_matches("(US)")))
    };
    built_in_places()
        .iter()
        .filter_map(|place| {
            parts_of(place)
                .map(|part| edit_distance(&name, &part))
                .min()
                .map(|distance| (distance, place))
        })
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, place)| place)
}

fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphabetic()).flat_map(char::to_lowercase).collect()
}

/// Letters to insert, remove, replace or swap with their neighbour to get from `a` to `b`
/// (optimal string alignment distance).
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replace = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replace.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_known_by_heart() {
        for (a, b, distance) in [
            ("", "", 0),
            ("nrt", "ntr", 1),
            ("kitten", "sitting", 3),
            ("", "abc", 3),
            ("replica", "replicas", 1),
        ] {
            assert_eq!(edit_distance(a, b), distance, "{a} {b}");
            assert_eq!(edit_distance(b, a), distance, "{b} {a}");
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
            assert_eq!(place_called(name).map(|place| place.code.as_ref()), Some(code), "{name}");
        }
        assert_eq!(place_called("atlantis"), None);
    }
}
