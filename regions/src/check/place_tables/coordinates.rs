//! The coordinates of a place: latitude and longitude in degrees. A built-in place may omit both.

use super::super::keys::{self, Section};
use super::super::source_file::SourceFile;
use super::super::value::{self, Value};
use std::ops::Range;
use toml::de::{DeTable, DeValue};

/// The coordinates of `[places.code]`; `header` is where its name stands.
pub(super) fn read(
    source: &mut SourceFile<'_>,
    header: Range<usize>,
    code: &str,
    table: &DeTable<'_>,
    is_built_in: bool,
) -> Option<(f64, f64)> {
    let (latitude, longitude) = (table.get_key_value("latitude"), table.get_key_value("longitude"));
    // A key may seem to be missing only because it is misspelt, which is reported already.
    if keys::has_only_known_keys(&Section::Place(code), table) {
        match (latitude, longitude) {
            (Some((key, _)), None) => {
                report_missing(source, key.span(), code, "longitude", "`longitude = 5.2`");
            }
            (None, Some((key, _))) => {
                report_missing(source, key.span(), code, "latitude", "`latitude = 52.1`");
            }
            (None, None) if !is_built_in => {
                let example = "`latitude = 52.1` and `longitude = 5.2`";
                report_missing(source, header, code, "coordinates", example);
            }
            _ => {}
        }
    }
    let latitude = latitude.and_then(|(_, value)| degrees(source, "latitude", value, 90));
    let longitude = longitude.and_then(|(_, value)| degrees(source, "longitude", value, 180));
    latitude.zip(longitude)
}

fn report_missing(
    source: &mut SourceFile<'_>,
    span: Range<usize>,
    code: &str,
    name: &str,
    example: &str,
) {
    let problem = format!("[places.{}] has no {name}", code.escape_debug());
    source.report(span, problem, format!("add the degrees, such as {example}"));
}

fn degrees(source: &mut SourceFile<'_>, key: &str, value: &Value<'_>, max: i16) -> Option<f64> {
    let (degrees, written) = match value.get_ref() {
        DeValue::Float(number) => (number.as_str().parse().ok(), number.to_string()),
        // What does not fit an i16 is out of range too.
        DeValue::Integer(number) => (
            i16::from_str_radix(number.as_str(), number.radix()).ok().map(f64::from),
            number.to_string(),
        ),
        other => {
            let example =
                other.as_str().and_then(decimal).unwrap_or(if max == 90 { 52.1 } else { 5.2 });
            let form = format!("`{key} = {example}`, in degrees");
            value::report_wrong_type(source, key, value, "a number", &form);
            return None;
        }
    };
    let max = f64::from(max);
    let degrees = degrees.filter(|degrees: &f64| (-max..=max).contains(degrees));
    if degrees.is_none() {
        source.report(
            value.span(),
            format!("`{key}` is {written}, which is out of range"),
            format!("write degrees from -{max} to {max}"),
        );
    }
    degrees
}

/// A number in quotes, with a decimal point or comma.
fn decimal(text: &str) -> Option<f64> {
    text.trim().replace(',', ".").parse().ok().filter(|number: &f64| number.is_finite())
}
