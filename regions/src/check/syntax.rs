//! TOML syntax: parses a file and reports every syntax error that the parser finds.

use super::source_file::SourceFile;
use super::value::quoted;
use std::collections::HashSet;
use toml::de::DeTable;

/// Parses the file as TOML. `None` after a syntax error: what the rest means is uncertain then.
pub(super) fn parse<'a>(source: &mut SourceFile<'a>) -> Option<DeTable<'a>> {
    let text = source.text();
    let (table, errors) = DeTable::parse_recoverable(text);
    // The parser repeats an error at each token of a broken array.
    let mut reported = HashSet::new();
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        let message = error.message();
        if !reported.insert((source.line(span.start), message)) {
            continue;
        }
        let problem = match text.get(span.clone()).filter(|token| !token.trim().is_empty()) {
            // Part of a URL may be a password, and messages end in logs.
            Some(token) if !line_at(text, span.start).contains("://") => {
                format!("invalid TOML at {}: {message}", quoted(token))
            }
            _ => format!("invalid TOML: {message}"),
        };
        source.report(span, problem, FIX);
    }
    errors.is_empty().then(|| table.into_inner())
}

/// One fix for all: the parser's messages name what it expected, but not the usual causes.
const FIX: &str = "write each key once and all text in straight quotes, as in `primary = \"nrt\"`";

fn line_at(text: &str, offset: usize) -> &str {
    let (before, after) = text.split_at(offset);
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let end = after.find('\n').map_or(text.len(), |newline| offset + newline);
    &text[start..end]
}
