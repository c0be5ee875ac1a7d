//! The keys of each part of regions.toml, and what to say about any other key.

use super::report::Report;
use super::suggest;
use std::fmt;
use toml::de::DeTable;

/// A part of regions.toml with keys of its own.
pub(super) enum Section<'a> {
    Top,
    Pool,
    Routing,
    Place(&'a str),
}

/// Reports every key of `table` that its section does not have.
pub(super) fn check(report: &mut Report<'_>, section: &Section<'_>, table: &DeTable<'_>) {
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        if section.keys().contains(&name) {
            continue;
        }
        let shown = name.escape_debug();
        let instead = match section {
            // A dot in a code makes two tables of it.
            Section::Place(code) if value.get_ref().is_table() => {
                format!("write [places.{}-{shown}] if that is its code", code.escape_debug())
            }
            _ => section.instead_of(name),
        };
        report.add(key.span(), format!("{section} has no key `{shown}`"), instead);
    }
}

/// Where a key that stands in the wrong part belongs, as the message says it.
pub(super) fn home(name: &str) -> Option<&'static str> {
    match name {
        "primary" | "replicas" => Some("above the first line with a [table]"),
        "size" => Some("under [pool]"),
        "max_lag" | "max_spill" | "writes" => Some("under [routing]"),
        "latitude" | "longitude" | "url_env" => {
            Some("under the place that it describes, [places.CODE]")
        }
        _ => None,
    }
}

/// Whether every key of `table` is one of its section, so that none is another key misspelt.
pub(super) fn all_known(section: &Section<'_>, table: &DeTable<'_>) -> bool {
    table.keys().all(|key| section.keys().contains(&key.get_ref().as_ref()))
}

/// Whether a key of the top is there in some table or misspelt, where it is reported.
pub(super) fn is_misplaced(top: &DeTable<'_>, name: &str) -> bool {
    let misspelt =
        |key: &str| suggest::nearest(key, Section::Top.keys().iter().copied()) == Some(name);
    // [places.primary] is a place.
    let holds =
        |table: &DeTable<'_>| table.get(name).is_some_and(|value| !value.get_ref().is_table());
    top.keys().any(|key| misspelt(key.get_ref()))
        || tables(top).any(|table| holds(table) || tables(table).any(holds))
}

fn tables<'t, 'i>(table: &'t DeTable<'i>) -> impl Iterator<Item = &'t DeTable<'i>> {
    table.values().filter_map(|value| value.get_ref().as_table())
}

impl Section<'_> {
    fn keys(&self) -> &'static [&'static str] {
        match self {
            Self::Top => &["primary", "replicas", "pool", "routing", "places"],
            Self::Pool => &["size"],
            Self::Routing => &["max_lag", "max_spill", "writes"],
            Self::Place(_) => &["latitude", "longitude", "url_env"],
        }
    }

    fn instead_of(&self, name: &str) -> String {
        if let Some(home) = home(name) {
            return format!("write it {home}");
        }
        if let Some(nearest) = suggest::nearest(name, self.keys().iter().copied()) {
            return format!("write `{nearest}`");
        }
        let keys: Vec<String> = self.keys().iter().map(|key| format!("`{key}`")).collect();
        match keys.as_slice() {
            [first, .., last] if first != last => {
                format!(
                    "its keys are {} and {last}: write one of them, or take the line out",
                    keys[..keys.len() - 1].join(", ")
                )
            }
            _ => format!("its only key is {}: write that, or take the line out", keys.concat()),
        }
    }
}

impl fmt::Display for Section<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Top => write!(f, "the top level"),
            Self::Pool => write!(f, "[pool]"),
            Self::Routing => write!(f, "[routing]"),
            Self::Place(code) => write!(f, "[places.{}]", code.escape_debug()),
        }
    }
}
