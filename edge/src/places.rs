//! The places where a visitor can stand: their codes, their cities, and the default place.

use std::collections::BTreeMap;

use archipelago_regions::{built_in_places, is_region_code};

/// In a list of regions: every region that the list does not name.
pub(crate) const ANY: &str = "any";

/// A code that names no place of this edge.
#[derive(Debug, thiserror::Error)]
#[error("unknown place `{code}`: the places are {known}")]
pub(crate) struct UnknownPlace {
    code: String,
    known: String,
}

/// Every place of this edge.
#[derive(Debug)]
pub(crate) struct Places {
    /// Code and city. A place that Fly does not have has no city.
    cities: BTreeMap<String, Option<&'static str>>,
    /// Where a visitor stands who has not chosen a place.
    pub(crate) default: String,
}

impl Places {
    /// The places of Fly's regions, and those with `codes`.
    pub(crate) fn new(codes: impl IntoIterator<Item = String>, default: String) -> Self {
        let built_in = built_in_places().iter().map(|place| (place.code.to_string(), place.city));
        let mut cities: BTreeMap<_, _> = built_in.collect();
        for code in codes {
            cities.entry(code).or_default();
        }
        Self { cities, default }
    }

    pub(crate) fn codes(&self) -> impl Iterator<Item = &str> {
        self.cities.keys().map(String::as_str)
    }

    /// The first code that cannot name a place.
    pub(crate) fn invalid_code(&self) -> Option<&str> {
        self.codes().find(|code| *code == ANY || !is_region_code(code))
    }

    pub(crate) fn contains(&self, code: &str) -> bool {
        self.cities.contains_key(code)
    }

    /// Fails unless `code` is one of these places.
    pub(crate) fn check(&self, code: &str) -> Result<(), UnknownPlace> {
        if self.contains(code) {
            return Ok(());
        }
        let known = self.codes().collect::<Vec<_>>().join(", ");
        Err(UnknownPlace { code: code.to_owned(), known })
    }

    /// The city of a place; its code where the city is not known.
    pub(crate) fn city<'a>(&self, code: &'a str) -> &'a str {
        self.cities.get(code).copied().flatten().unwrap_or(code)
    }
}
