//! Where a place is: latitude and longitude in degrees, both or (for a built-in place) none.

use super::super::keys::{self, Section};
use super::super::report::Report;
use super::super::value::{self, Value};
use std::ops::Range;
use toml::de::{DeTable, DeValue};

/// The coordinates of `[places.code]`; `header` is where its name stands.
pub(super) fn read(
    report: &mut Report<'_>,
    header: Range<usize>,
    code: &str,
    table: &DeTable<'_>,
    built_in: bool,
) -> Option<(f64, f64)> {
    let (latitude, longitude) = (table.get_key_value("latitude"), table.get_key_value("longitude"));
    // A misspelt key is reported as such, and seems to be missing only for that.
    if keys::all_known(&Section::Place(code), table) {
        match (latitude, longitude) {
            (Some((key, _)), None) => {
                missing(report, key.span(), code, "longitude", "`longitude = 5.2`")
            }
            (None, Some((key, _))) => {
                missing(report, key.span(), code, "latitude", "`latitude = 52.1`")
            }
            (None, None) if !built_in => {
                let both = "`latitude = 52.1` and `longitude = 5.2`";
                missing(report, header, code, "latitude and no longitude", both);
            }
            _ => {}
        }
    }
    let latitude = latitude.and_then(|(_, value)| degrees(report, "latitude", value, 90));
    let longitude = longitude.and_then(|(_, value)| degrees(report, "longitude", value, 180));
    latitude.zip(longitude)
}

fn missing(report: &mut Report<'_>, span: Range<usize>, code: &str, name: &str, example: &str) {
    let wrong = format!("[places.{}] has no {name}", code.escape_debug());
    report.add(span, wrong, format!("say where it is in degrees, such as {example}"));
}

fn degrees(report: &mut Report<'_>, name: &str, value: &Value<'_>, most: i16) -> Option<f64> {
    let (degrees, written) = match value.get_ref() {
        DeValue::Float(number) => (number.as_str().parse().ok(), number.to_string()),
        // Whatever is out of i16's range is out of the globe's too.
        DeValue::Integer(number) => (
            i16::from_str_radix(number.as_str(), number.radix()).ok().map(f64::from),
            number.to_string(),
        ),
        other => {
            let meant =
                other.as_str().and_then(decimal).unwrap_or(if most == 90 { 52.1 } else { 5.2 });
            value::wrong_type(
                report,
                name,
                value,
                "a number",
                &format!("`{name} = {meant}`, in degrees"),
            );
            return None;
        }
    };
    let most = f64::from(most);
    let degrees = degrees.filter(|degrees: &f64| (-most..=most).contains(degrees));
    if degrees.is_none() {
        report.add(
            value.span(),
            format!("a {name} of {written} is not on the globe"),
            format!("write degrees from -{most} to {most}"),
        );
    }
    degrees
}

/// A number in quotes, be it with a decimal comma.
fn decimal(text: &str) -> Option<f64> {
    text.trim().replace(',', ".").parse().ok().filter(|number: &f64| number.is_finite())
}
