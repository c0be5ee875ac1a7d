//! A file of distances: round-trip times from somebody who knows better than the model of the world.

use super::members::refusal;
use super::report::Report;
use super::value::{self, Value, quoted};
use super::{duration, suggest, syntax};
use crate::Mistake;
use crate::code::is_well_formed;
use std::ops::Range;
use std::time::Duration;
use toml::de::DeTable;

/// How far apart two places are, in a file of distances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distance {
    /// One of the places.
    pub a: String,
    /// Another.
    pub b: String,
    /// How long a packet travels from one to the other and back.
    pub round_trip: Duration,
}

/// Checks the text of a file of distances, in which places have their round-trip times to others.
///
/// `file` is the name that mistakes are reported under. `known` are the codes that may stand in it; if there are none, every
/// well-formed code may. A distance is the same in both directions, and may be given in both.
///
/// ```
/// let source = r#"
/// nrt = { ord = "128ms", syd = "137ms" }
/// ord = { syd = "198ms" }
/// "#;
/// let distances = archipelago_regions::check_distances("distances.toml", source, &[]).unwrap();
/// assert_eq!(distances[2].round_trip.as_millis(), 198);
/// ```
///
/// # Errors
/// Every mistake, by line. Where a syntax error leaves open what the rest of the file means, only the syntax errors.
pub fn check_distances(
    file: &str,
    source: &str,
    known: &[&str],
) -> Result<Vec<Distance>, Vec<Mistake>> {
    let mut report = Report::new(file, source);
    let mut given = syntax::parse(&mut report)
        .map(|table| read(&mut report, &table, known))
        .unwrap_or_default();
    given.sort_by_key(|(span, _)| span.start);
    tell_apart(&mut report, &given);
    let mistakes = report.into_mistakes();
    if mistakes.is_empty() {
        Ok(given.into_iter().map(|(_, distance)| distance).collect())
    } else {
        Err(mistakes)
    }
}

type Given = (Range<usize>, Distance);

fn read(report: &mut Report<'_>, top: &DeTable<'_>, known: &[&str]) -> Vec<Given> {
    let mut given = Vec::new();
    for (a, others) in top {
        let a = code(report, a.span(), a.get_ref(), known);
        let form = "its distances behind it, as in `nrt = { ord = \"128ms\" }`";
        for (b, time) in
            value::table(report, a.unwrap_or("this"), others, form).into_iter().flatten()
        {
            let b_span = b.span();
            let b = code(report, b.span(), b.get_ref(), known);
            let round_trip = round_trip(report, b.unwrap_or("this"), time);
            if let (Some(a), Some(b), Some(round_trip)) = (a, b, round_trip) {
                given.push((b_span, Distance { a: a.to_owned(), b: b.to_owned(), round_trip }));
            }
        }
    }
    given
}

fn code<'n>(
    report: &mut Report<'_>,
    span: Range<usize>,
    name: &'n str,
    known: &[&str],
) -> Option<&'n str> {
    if !is_well_formed(name) {
        let (wrong, instead, _) = refusal(name);
        report.add(span, wrong, instead);
        return None;
    }
    if known.is_empty() || known.contains(&name) {
        return Some(name);
    }
    let meant = suggest::place_called(name)
        .map(|place| place.code.as_ref())
        .filter(|code| known.contains(code));
    let instead = match meant.or_else(|| suggest::nearest(name, known.iter().copied())) {
        Some(meant) => format!("write {meant}"),
        None => format!("add [places.{name}] to regions.toml, or take it out here"),
    };
    report.add(span, format!("{} is no place that is known here", quoted(name)), instead);
    None
}

fn round_trip(report: &mut Report<'_>, name: &str, value: &Value<'_>) -> Option<Duration> {
    let meant = value.get_ref().as_integer().map_or_else(|| "128".to_owned(), ToString::to_string);
    let form = format!("a number and ms or s in quotes, such as `{name} = \"{meant}ms\"`");
    let text = value::string(report, name, value, &form)?;
    let parsed = duration::parse(text).map_err(|instead| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // What is written without a unit elsewhere is meant in seconds; between places it hardly is.
        let instead = if is_number { format!("write \"{text}ms\"") } else { instead };
        report.add(value.span(), format!("{} is no duration", quoted(text)), instead);
    });
    parsed.ok()
}

/// Reports places at a distance from themselves, and pairs with two distances.
fn tell_apart(report: &mut Report<'_>, given: &[Given]) {
    for (index, (span, Distance { a, b, round_trip })) in given.iter().enumerate() {
        if a == b {
            report.add(
                span.clone(),
                format!("{} is at no distance from itself", quoted(a)),
                "take it out",
            );
        }
        let same =
            |other: &Distance| (&other.a, &other.b) == (a, b) || (&other.b, &other.a) == (a, b);
        if let Some((first, other)) =
            given[..index].iter().find(|(_, other)| same(other) && other.round_trip != *round_trip)
        {
            let line = report.line(first.start);
            let (a, b, other) = (quoted(a), quoted(b), other.round_trip);
            let wrong =
                format!("{a} and {b} are {round_trip:?} apart here and {other:?} on line {line}");
            report.add(span.clone(), wrong, "leave one of them out");
        }
    }
}
