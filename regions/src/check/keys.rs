//! The keys of each section of regions.toml, and the mistake for an unknown key.

use super::source_file::SourceFile;
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

/// Reports every unknown key of `table`.
pub(super) fn check(source: &mut SourceFile<'_>, section: &Section<'_>, table: &DeTable<'_>) {
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        if section.keys().contains(&name) {
            continue;
        }
        let escaped = name.escape_debug();
        let fix = match section {
            // [places.us.east] is a table within a table.
            Section::Place(code) if value.get_ref().is_table() => {
                let code = code.escape_debug();
                format!("write [places.{code}-{escaped}] if that is the place's code")
            }
            _ => section.fix_for(name),
        };
        source.report(key.span(), format!("unknown key `{escaped}` {section}"), fix);
    }
}

/// The section that has the key `name`, as a phrase for messages.
pub(super) fn owning_section(name: &str) -> Option<&'static str> {
    match name {
        "primary" | "replicas" => Some("above the first line with a [table]"),
        "size" => Some("under [pool]"),
        "max_lag" | "max_spill" | "writes" | "follow_promotions" => Some("under [routing]"),
        "latitude" | "longitude" | "url_env" => {
            Some("under the place that it describes, [places.CODE]")
        }
        _ => None,
    }
}

/// Whether `table` has no unknown key, which could be a known one misspelt.
pub(super) fn has_only_known_keys(section: &Section<'_>, table: &DeTable<'_>) -> bool {
    table.keys().all(|key| section.keys().contains(&key.get_ref().as_ref()))
}

/// Whether the top-level key `name` is misspelt or stands in a table: [`check`] reports it there.
pub(super) fn is_misplaced(top: &DeTable<'_>, name: &str) -> bool {
    let is_misspelling =
        |key: &str| suggest::closest(key, Section::Top.keys().iter().copied()) == Some(name);
    // [places.primary] is a place.
    let has_value =
        |table: &DeTable<'_>| table.get(name).is_some_and(|value| !value.get_ref().is_table());
    top.keys().any(|key| is_misspelling(key.get_ref()))
        || tables(top).any(|table| has_value(table) || tables(table).any(has_value))
}

fn tables<'t, 'i>(table: &'t DeTable<'i>) -> impl Iterator<Item = &'t DeTable<'i>> {
    table.values().filter_map(|value| value.get_ref().as_table())
}

impl Section<'_> {
    fn keys(&self) -> &'static [&'static str] {
        match self {
            Self::Top => &["primary", "replicas", "pool", "routing", "places"],
            Self::Pool => &["size"],
            Self::Routing => &["max_lag", "max_spill", "writes", "follow_promotions"],
            Self::Place(_) => &["latitude", "longitude", "url_env", "servers"],
        }
    }

    fn fix_for(&self, unknown: &str) -> String {
        if let Some(section) = owning_section(unknown) {
            return format!("move it {section}");
        }
        if let Some(closest) = suggest::closest(unknown, self.keys().iter().copied()) {
            return format!("write `{closest}`");
        }
        let keys: Vec<String> = self.keys().iter().map(|key| format!("`{key}`")).collect();
        match keys.as_slice() {
            [others @ .., last] if !others.is_empty() => {
                format!("write {} or {last}, or remove the line", others.join(", "))
            }
            _ => format!("write {}, its only key, or remove the line", keys.concat()),
        }
    }
}

/// Where a key of the section stands, as a phrase for messages.
impl fmt::Display for Section<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Top => write!(f, "at the top level"),
            Self::Pool => write!(f, "in [pool]"),
            Self::Routing => write!(f, "in [routing]"),
            Self::Place(code) => write!(f, "in [places.{}]", code.escape_debug()),
        }
    }
}
