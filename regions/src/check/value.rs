//! Values of one type, and the mistake if a value has another type.

use super::source_file::SourceFile;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub(super) type Value<'i> = Spanned<DeValue<'i>>;

/// `value` as a table; `form` shows how to write it.
pub(super) fn table<'v, 'i>(
    source: &mut SourceFile<'_>,
    key: &str,
    value: &'v Value<'i>,
    form: &str,
) -> Option<&'v DeTable<'i>> {
    let table = value.get_ref().as_table();
    if table.is_none() {
        report_wrong_type(source, key, value, "a table", form);
    }
    table
}

/// `value` as a string; `form` shows how to write it.
pub(super) fn string<'v>(
    source: &mut SourceFile<'_>,
    key: &str,
    value: &'v Value<'_>,
    form: &str,
) -> Option<&'v str> {
    let text = value.get_ref().as_str();
    if text.is_none() {
        report_wrong_type(source, key, value, "a string", form);
    }
    text
}

/// Reports that the value of `key` should be `expected`, "a table" for example.
pub(super) fn report_wrong_type(
    source: &mut SourceFile<'_>,
    key: &str,
    value: &Value<'_>,
    expected: &str,
    form: &str,
) {
    let actual = type_name(value.get_ref());
    let problem = format!("`{key}` is {actual}, not {expected}");
    source.report(value.span(), problem, format!("write {form}"));
}

/// `text` in quotes for a message: escaped, shortened, and hidden if it is a URL.
pub(super) fn quoted(text: &str) -> String {
    const MAX_CHARS: usize = 70;
    // A URL may hold a password, and messages end in logs.
    if text.contains("://") {
        return "\"…\"".to_owned();
    }
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{:?}", format!("{}…", &text[..end])),
        None => format!("{text:?}"),
    }
}

pub(super) fn type_name(value: &DeValue<'_>) -> &'static str {
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
