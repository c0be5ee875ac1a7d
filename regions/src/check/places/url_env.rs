//! `url_env`: the name of the environment variable that holds a region's URL.

use super::super::report::Report;
use super::super::value::{self, Value, quoted};
use super::Given;
use std::collections::BTreeMap;
use std::ops::Range;

/// The variable's name and where it stands.
pub(super) fn read(
    report: &mut Report<'_>,
    code: &str,
    value: &Value<'_>,
) -> Option<(String, Range<usize>)> {
    let example = variable(&format!("{code}_DATABASE_URL"))
        .unwrap_or_else(|| "DEPOT_DATABASE_URL".to_owned());
    let name = value::string(
        report,
        "url_env",
        value,
        &format!("the name of a variable, such as `url_env = \"{example}\"`"),
    )?;
    if is_taken(name) {
        let wrong = format!("{name} has a meaning of its own");
        report.add(value.span(), wrong, format!("write another name, such as \"{example}\""));
        return None;
    }
    if is_variable(name) {
        return Some((name.to_owned(), value.span()));
    }
    if name.contains("://") {
        // Not shown: a URL may hold a password, and this message ends in logs.
        let instead = format!(
            "write the name of an environment variable that holds the URL, such as \"{example}\""
        );
        report.add(value.span(), "`url_env` is the URL itself", instead);
    } else {
        let meant = variable(name).unwrap_or(example);
        report.add(
            value.span(),
            format!("{} is no name of an environment variable", quoted(name)),
            format!("write \"{meant}\" (A to Z, 0 to 9 and _)"),
        );
    }
    None
}

/// Reports a variable that two places share.
pub(super) fn tell_apart(report: &mut Report<'_>, given: &mut [Given]) {
    given.sort_by_key(|given| given.url_env.as_ref().map(|(_, span)| span.start));
    let mut firsts: BTreeMap<&str, (&str, usize)> = BTreeMap::new();
    for given in given.iter() {
        let Some((name, span)) = &given.url_env else {
            continue;
        };
        if let Some((code, line)) = firsts.get(name.as_str()) {
            report.add(
                span.clone(),
                format!("[places.{code}] reads {name} too (line {line})"),
                "give each region a variable of its own, or they are one database",
            );
        } else {
            firsts.insert(name, (&given.code, report.line(span.start)));
        }
    }
}

/// The variables that archipelago reads itself (`archipelago/src/settings.rs`).
fn is_taken(name: &str) -> bool {
    name.starts_with("DATABASE_URL_")
        || ["DATABASE_URL", "FLY_REGION", "PRIMARY_REGION", "POOL_SIZE"].contains(&name)
}

/// `[A-Z_][A-Z0-9_]*`.
fn is_variable(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_uppercase() || first == '_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

/// The variable that was meant: `$depot-url` is `DEPOT_URL`.
fn variable(name: &str) -> Option<String> {
    let upper: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
        .collect();
    Some(upper.trim_matches('_').to_owned()).filter(|name| is_variable(name))
}
