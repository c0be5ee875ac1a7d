//! The check of a distances file: measured round-trip times, instead of the model's estimates.

use super::invalid_code;
use super::source_file::SourceFile;
use super::suggest::Suggestions;
use super::value::{self, Value, quoted};
use super::{duration, syntax};
use crate::mistake::Mistake;
use crate::region_code::is_region_code;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::time::Duration;
use toml::de::DeTable;

/// The round-trip time between two places, from a distances file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distance {
    /// The code of one place.
    pub a: String,
    /// The code of the other place.
    pub b: String,
    /// How long a packet travels from one to the other and back.
    pub round_trip: Duration,
}

/// Checks the text of a distances file, which gives round-trip times between places.
///
/// `file` is the name for mistakes. `known` are the codes that the file may use; if `known` is
/// empty, it may use every valid code. A distance counts in both directions, and the file may give
/// both.
///
/// ```
/// let text = r#"
/// nrt = { ord = "128ms", syd = "137ms" }
/// ord = { syd = "198ms" }
/// "#;
/// let distances = archipelago_regions::check_distances("distances.toml", text, &[]).unwrap();
/// assert_eq!(distances[2].round_trip.as_millis(), 198);
/// ```
///
/// # Errors
/// Every mistake, by line. A file with syntax errors is not checked further.
pub fn check_distances(
    file: &str,
    text: &str,
    known: &[&str],
) -> Result<Vec<Distance>, Vec<Mistake>> {
    let mut source = SourceFile::new(file, text);
    let mut entries = match syntax::parse(&mut source) {
        Some(table) => read(&mut source, &table, &mut Codes::new(known)),
        None => Vec::new(),
    };
    entries.sort_by_key(|entry| entry.span.start);
    check_contradictions(&mut source, &entries);
    let mistakes = source.into_mistakes();
    if mistakes.is_empty() {
        Ok(entries.into_iter().map(|entry| entry.distance).collect())
    } else {
        Err(mistakes)
    }
}

struct Entry {
    distance: Distance,
    span: Range<usize>,
}

fn read(source: &mut SourceFile<'_>, top: &DeTable<'_>, codes: &mut Codes<'_>) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (a, others) in top {
        let a = codes.read(source, a.span(), a.get_ref());
        let form = "its distances to other places, as in `nrt = { ord = \"128ms\" }`";
        let others = value::table(source, a.unwrap_or("this"), others, form);
        for (b, time) in others.into_iter().flatten() {
            let span = b.span();
            let b = codes.read(source, b.span(), b.get_ref());
            let round_trip = read_round_trip(source, b.unwrap_or("this"), time);
            if let (Some(a), Some(b), Some(round_trip)) = (a, b, round_trip) {
                let distance = Distance { a: a.to_owned(), b: b.to_owned(), round_trip };
                entries.push(Entry { distance, span });
            }
        }
    }
    entries
}

/// The codes that the file may use.
struct Codes<'k> {
    known: HashSet<&'k str>,
    suggestions: Suggestions<'k>,
}

impl<'k> Codes<'k> {
    fn new(known: &[&'k str]) -> Self {
        let suggestions = Suggestions::of(known.iter().copied());
        Self { known: known.iter().copied().collect(), suggestions }
    }

    /// `code`, unless it is reported as invalid or unknown.
    fn read<'n>(
        &mut self,
        source: &mut SourceFile<'_>,
        span: Range<usize>,
        code: &'n str,
    ) -> Option<&'n str> {
        if !is_region_code(code) {
            let invalid = invalid_code::explain(code);
            source.report(span, invalid.problem, invalid.fix);
            return None;
        }
        if self.known.is_empty() || self.known.contains(code) {
            return Some(code);
        }
        let fix = match self.suggestions.for_code(code) {
            Some(suggested) => format!("write {suggested}"),
            None => format!("add [places.{code}] to regions.toml, or remove it here"),
        };
        source.report(span, format!("{} is not a known place", quoted(code)), fix);
        None
    }
}

fn read_round_trip(source: &mut SourceFile<'_>, key: &str, value: &Value<'_>) -> Option<Duration> {
    let number = value.get_ref().as_integer().map_or_else(|| "128".to_owned(), ToString::to_string);
    let form = format!("a number with ms or s in quotes, such as `{key} = \"{number}ms\"`");
    let text = value::string(source, key, value, &form)?;
    let parsed = duration::parse(text).map_err(|fix| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // A number alone means seconds elsewhere, but hardly ever between places.
        let fix = if is_number { format!("write \"{text}ms\"") } else { fix };
        source.report(value.span(), format!("{} is not a duration", quoted(text)), fix);
    });
    parsed.ok()
}

/// Reports a place's distance to itself, and two places with different distances.
fn check_contradictions(source: &mut SourceFile<'_>, entries: &[Entry]) {
    let mut firsts: HashMap<(&str, &str), &Entry> = HashMap::new();
    for entry in entries {
        let Distance { a, b, round_trip } = &entry.distance;
        let span = entry.span.clone();
        if a == b {
            let problem = format!("{} has a distance to itself", quoted(a));
            source.report(span, problem, "remove it");
            continue;
        }
        let first = *firsts.entry(if a < b { (a, b) } else { (b, a) }).or_insert(entry);
        let first_time = first.distance.round_trip;
        if first_time != *round_trip {
            let line = source.line(first.span.start);
            let (a, b) = (quoted(a), quoted(b));
            let problem = format!(
                "{a} and {b} are {round_trip:?} apart here and {first_time:?} on line {line}"
            );
            source.report(span, problem, "remove one of them");
        }
    }
}
