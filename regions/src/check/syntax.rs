//! Syntax errors in plain words, and what of the file can still be trusted.

mod values;
mod words;

use super::report::Report;
use std::ops::Range;
use toml::de::DeTable;
use values::Values;

/// Reads the file as TOML and reports its syntax errors, without those that another one caused.
///
/// `None` when they leave open what the rest of the file means. An error about a key given twice, or inside one value
/// on one line, leaves the rest clear.
pub(super) fn parse<'a>(report: &mut Report<'a>) -> Option<DeTable<'a>> {
    let source = report.source();
    let (broken, readable) = without_broken_lines(source);
    let (table, errors) = DeTable::parse_recoverable(&readable);
    let values = Values::of(table.get_ref());
    let mut errors = spans(&errors);
    let mut clear = broken.is_empty();
    errors.extend(broken);
    errors.sort_by_key(|(span, _)| span.start);

    // An array without its end swallows what follows it, and all of that looks wrong.
    let swallowed = values.unclosed(&errors);
    if let Some(open) = &swallowed {
        let (what, end) = if source[open.start..].starts_with('{') {
            ("inline table", '}')
        } else {
            ("array", ']')
        };
        report.add(
            open.clone(),
            format!("the {what} that begins here is never closed"),
            format!("write `{end}` at its end"),
        );
        errors.retain(|(span, _)| span.start < open.start);
        clear = false;
    }
    for (span, message) in errors {
        let value = values.around(source, &span);
        clear &= value.is_some() || message == TWICE;
        let (wrong, instead) = words::say(report, &span, &message);
        report.add(span.clone(), wrong, instead);
        report.settle(value.unwrap_or_else(|| line_around(source, span.start)));
    }
    clear.then(|| DeTable::parse_recoverable(source).0.into_inner())
}

/// The parser's message about a key given twice.
const TWICE: &str = "duplicate key";

type Error = (Range<usize>, String);

/// The parser gives up at a line that is neither a key nor a table. So such lines are taken out (blanks leave every
/// other line in its place) until it reaches the end of the file.
fn without_broken_lines(source: &str) -> (Vec<Error>, String) {
    let mut text = source.to_owned();
    let mut broken: Vec<Error> = Vec::new();
    loop {
        let errors = spans(&DeTable::parse_recoverable(&text).1);
        let stops = |error: &&Error| {
            error.1.starts_with("key with no value")
                || error.1.starts_with("invalid key-value pair")
        };
        let Some(error) = errors.iter().find(stops) else { return (broken, text) };
        let line = line_around(&text, error.0.start);
        let blank = " ".repeat(line.len());
        if text[line.clone()] == blank {
            return (broken, text);
        }
        broken.push(error.clone());
        text.replace_range(line, &blank);
    }
}

fn spans(errors: &[toml::de::Error]) -> Vec<Error> {
    errors.iter().map(|error| (error.span().unwrap_or(0..0), error.message().to_owned())).collect()
}

/// The line with the byte at `offset`, without its newline.
fn line_around(source: &str, offset: usize) -> Range<usize> {
    let newline = |byte: &u8| *byte == b'\n';
    let (before, behind) = source.as_bytes().split_at(offset.min(source.len()));
    let start = before.iter().rposition(newline).map_or(0, |at| at + 1);
    start..behind.iter().position(newline).map_or(source.len(), |length| before.len() + length)
}
