//! `url_env`: the name of the environment variable that holds a region's URL.

use super::super::source_file::SourceFile;
use super::super::value::{self, Value, quoted};
use super::PlaceTable;
use std::collections::HashMap;
use std::ops::Range;

/// The variable's name, and where it stands.
pub(super) fn read(
    source: &mut SourceFile<'_>,
    code: &str,
    value: &Value<'_>,
) -> Option<(String, Range<usize>)> {
    let example = normalized(&format!("{code}_DATABASE_URL"))
        .unwrap_or_else(|| "DEPOT_DATABASE_URL".to_owned());
    let form = format!("the name of a variable, such as `url_env = \"{example}\"`");
    let name = value::string(source, "url_env", value, &form)?;
    let (problem, fix) = if is_reserved(name) {
        let problem = format!("{} is a variable with another meaning", quoted(name));
        (problem, format!("choose another name, such as \"{example}\""))
    } else if is_variable_name(name) {
        return Some((name.to_owned(), value.span()));
    } else if name.contains("://") {
        // Not shown: a URL may hold a password, and messages end in logs.
        let fix = format!(
            "write the name of an environment variable that holds the URL, such as \"{example}\""
        );
        ("`url_env` is a URL".to_owned(), fix)
    } else {
        let problem = format!("{} is not a valid name of an environment variable", quoted(name));
        let intended = normalized(name).unwrap_or(example);
        (problem, format!("write \"{intended}\" (A to Z, 0 to 9 and _)"))
    };
    source.report(value.span(), problem, fix);
    None
}

/// Reports each variable that two places share, at the later one.
pub(super) fn check_duplicates(source: &mut SourceFile<'_>, places: &[PlaceTable]) {
    let mut in_file_order: Vec<(&str, String, &Range<usize>)> = places
        .iter()
        .flat_map(|place| {
            let servers = place.servers.as_ref().map_or(1, |(servers, _)| *servers);
            let variables = place.url_env.iter().flat_map(move |(name, span)| {
                (1..=servers).map(move |server| (server_variable(name, server), span))
            });
            variables.map(|(name, span)| (&*place.code, name, span))
        })
        .collect();
    in_file_order.sort_by_key(|(_, _, span)| span.start);
    let mut firsts: HashMap<String, (&str, usize)> = HashMap::new();
    for (code, name, span) in in_file_order {
        if let Some((first_code, line)) = firsts.get(&name) {
            source.report(
                span.clone(),
                format!("[places.{first_code}] uses {name} too (line {line})"),
                "give each region its own variable, because each has its own database",
            );
        } else {
            firsts.insert(name, (code, source.line(span.start)));
        }
    }
}

/// The variable of one of the servers of a place with a `url_env`.
pub(in crate::check) fn server_variable(name: &str, server: u32) -> String {
    if server == 1 { name.to_owned() } else { format!("{name}_{server}") }
}

/// Variables that Archipelago and its app, libpq, Fly.io or a shell give another meaning. Those of
/// libpq begin with `PG` and have no `_`.
const RESERVED: &[&str] = &[
    "CHECK_MIGRATIONS",
    "DATABASE_POOLER",
    "DATABASE_READ_PASSWORD",
    "DATABASE_READ_USER",
    "DATABASE_URL",
    "HOME",
    "HOST",
    "HOSTNAME",
    "LANG",
    "LD_LIBRARY_PATH",
    "LOGNAME",
    "METRICS_PORT",
    "MONITOR_REST",
    "PATH",
    "POOL_SIZE",
    "PORT",
    "PRIMARY_REGION",
    "PWD",
    "RUST_BACKTRACE",
    "RUST_LOG",
    "SECRET_KEY",
    "SHELL",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TERM",
    "TMPDIR",
    "USER",
];

fn is_reserved(name: &str) -> bool {
    let is_libpqs = name.starts_with("PG") && !name.contains('_');
    let is_of_a_group = ["DATABASE_URL_", "FLY_"].iter().any(|group| name.starts_with(group));
    is_libpqs || is_of_a_group || RESERVED.contains(&name)
}

/// `[A-Z_][A-Z0-9_]*`.
fn is_variable_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_uppercase() || first == '_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

/// The valid name of a variable, if `name` differs from it only in case and punctuation:
/// `$depot-url` is `DEPOT_URL`.
fn normalized(name: &str) -> Option<String> {
    let upper: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
        .collect();
    Some(upper.trim_matches('_').to_owned()).filter(|name| is_variable_name(name))
}
