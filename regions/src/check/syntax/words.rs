//! The toml parser's messages in the words of someone who edits a list of regions.

use crate::check::report::Report;
use crate::check::value::quoted;
use std::ops::Range;

/// What is wrong and what to write instead, for the parser's `message` about `span`.
pub(super) fn say(report: &Report<'_>, span: &Range<usize>, message: &str) -> (String, String) {
    let text = report.source().get(span.clone()).unwrap_or_default();
    let problem = message.split(", expected").next().unwrap_or(message);
    if let Some(word) = unquoted(text, problem) {
        return (format!("{text} is not in straight quotes"), format!("write \"{word}\""));
    }
    match problem {
        super::TWICE => twice(report, span, text),
        "string values must be quoted" if text.is_empty() => say_both(
            "there is no value behind the `=`",
            "write one, such as `primary = \"nrt\"`, or take the line out",
        ),
        "invalid basic string" | "invalid literal string" if text.is_empty() => say_both(
            "a string is not closed",
            "write the quote at its end, the same one as at its start",
        ),
        "missing opening quote" => say_both("a string is not opened", "write a `\"` before it"),
        "key with no value" | "invalid key-value pair" => say_both(
            "this line is neither `key = value` nor a [table]",
            "write it like `key = \"value\"`, or put a # before it if it is a comment",
        ),
        "unquoted keys cannot be empty" => say_both(
            "there is a name missing",
            "write a key before the `=`, a name between [ and ]",
        ),
        "invalid unquoted key" => (
            format!("{} cannot stand in a key", quoted(text)),
            "write keys with a to z, 0 to 9, - and _, an = behind them, and comments behind a #"
                .to_owned(),
        ),
        "missing comma between array elements" => {
            say_both("a comma is missing between two elements", "write it like [\"ord\", \"ams\"]")
        }
        "extra comma in array" => {
            say_both("there is a comma too many in an array", "write it like [\"ord\", \"ams\"]")
        }
        "unclosed table" | "unclosed array table" => {
            say_both("a [table] is not closed", "write `]` behind its name, as in [pool]")
        }
        "unexpected key or value" => say_both(
            "there is more on this line than one value",
            "write each key and each [table] on a line of its own, numbers with a point and not a comma",
        ),
        "extra `=`" => say_both("there is an `=` too many", "write it like `primary = \"nrt\"`"),
        _ if text.trim().is_empty() => {
            (format!("this is not TOML ({message})"), "write it as at https://toml.io".to_owned())
        }
        _ => (
            format!("{} is not TOML here ({message})", quoted(text)),
            "write it as at https://toml.io".to_owned(),
        ),
    }
}

/// The word that stands without quotes (or in typographic ones) where only a string makes sense. The parser takes a
/// word's first letter for the type: `nrt` is a bad `nan` to it.
fn unquoted<'t>(text: &'t str, problem: &str) -> Option<&'t str> {
    let about_a_value = problem == "string values must be quoted"
        || problem.starts_with("invalid ")
        || problem.starts_with("unexpected ");
    let word = text.trim_matches(['“', '”', '„', '‘', '’', '«', '»', '`']);
    let is_word = |word: &str| word.chars().all(|c| c.is_ascii_alphanumeric() || "-_ ".contains(c));
    let says_something = word.contains(|c: char| c.is_ascii_alphabetic());
    let is_boolean = word.eq_ignore_ascii_case("true") || word.eq_ignore_ascii_case("false");
    (about_a_value && says_something && is_word(word) && !is_boolean).then_some(word)
}

/// A key or table given twice. The first one is the nearest line above that begins with the same words: a key's other
/// self stands in the same table, a table's has the same header.
fn twice(report: &Report<'_>, span: &Range<usize>, key: &str) -> (String, String) {
    let source = report.source();
    let line_start = source[..span.start].rfind('\n').map_or(0, |newline| newline + 1);
    let beginning = source[line_start..span.end].trim_start();
    let same = |line: &str| {
        line.trim_start()
            .strip_prefix(beginning)
            .is_some_and(|rest| rest.trim_start().starts_with(['=', ']', '.']))
    };
    let first = source[..line_start].lines().enumerate().filter(|(_, line)| same(line)).last();
    let (name, instead) = if beginning.starts_with('[') {
        (format!("{beginning}]"), "write all its keys under one of them")
    } else {
        (format!("`{key}`"), "leave one of them out")
    };
    match first {
        Some((index, _)) => {
            (format!("{name} is given twice (first on line {})", index + 1), instead.to_owned())
        }
        None => (format!("{name} is given twice"), instead.to_owned()),
    }
}

fn say_both(wrong: &str, instead: &str) -> (String, String) {
    (wrong.to_owned(), instead.to_owned())
}
