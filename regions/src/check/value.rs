//! Values by their types, and the mistake when a value is of another type.

use super::report::Report;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub(super) type Value<'i> = Spanned<DeValue<'i>>;

/// `value` as a table; `form` shows how to write it.
pub(super) fn table<'v, 'i>(
    report: &mut Report<'_>,
    name: &str,
    value: &'v Value<'i>,
    form: &str,
) -> Option<&'v DeTable<'i>> {
    let table = value.get_ref().as_table();
    if table.is_none() {
        wrong_type(report, name, value, "a table", form);
    }
    table
}

/// `value` as a string; `form` shows how to write it.
pub(super) fn string<'v>(
    report: &mut Report<'_>,
    name: &str,
    value: &'v Value<'_>,
    form: &str,
) -> Option<&'v str> {
    let text = value.get_ref().as_str();
    if text.is_none() {
        wrong_type(report, name, value, "a string", form);
    }
    text
}

/// Reports that `value` is not what it should be.
pub(super) fn wrong_type(
    report: &mut Report<'_>,
    name: &str,
    value: &Value<'_>,
    wanted: &str,
    form: &str,
) {
    let got = kind(value.get_ref());
    report.add(value.span(), format!("`{name}` is {got}, not {wanted}"), format!("write {form}"));
}

/// `text` as it should stand in a message: in quotes, on one line, and not longer than a line can bear.
pub(super) fn quoted(text: &str) -> String {
    const MOST: usize = 70;
    // A URL may hold a password, and messages end in logs.
    if text.contains("://") {
        return "\"…\"".to_owned();
    }
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{:?}", format!("{}…", &text[..end])),
        None => format!("{text:?}"),
    }
}

pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
