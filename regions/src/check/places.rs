//! `[places.CODE]`: the places that regions.toml adds to the built-in ones, or says more about.

mod coordinates;
mod url_env;

use super::keys::{self, Section};
use super::members::refusal;
use super::report::Report;
use super::value;
use crate::code::is_well_formed;
use crate::{Place, built_in_places, rust_name};
use std::borrow::Cow;
use std::ops::Range;
use toml::de::DeTable;

/// One `[places.CODE]`.
pub(super) struct Given {
    /// As in the file; where that is no well-formed code, the one that was meant.
    pub code: String,
    /// Latitude and longitude; `None` also after a mistake in them.
    pub coordinates: Option<(f64, f64)>,
    pub url_env: Option<(String, Range<usize>)>,
}

pub(super) struct Places {
    pub given: Vec<Given>,
}

pub(super) fn read(report: &mut Report<'_>, top: &DeTable<'_>) -> Places {
    let mut given = Vec::new();
    let form = "[places.CODE] on one line, its latitude and longitude below it";
    let tables = top.get("places").and_then(|places| value::table(report, "places", places, form));
    for (key, value) in tables.into_iter().flatten() {
        let name = key.get_ref().as_ref();
        if let (false, Some(home)) = (value.get_ref().is_table(), keys::home(name)) {
            report.add(
                key.span(),
                format!("[places] has no key `{name}`, only a table for each place"),
                format!("write it {home}"),
            );
            continue;
        }
        let code = code(report, key.span(), name);
        let shown = format!("places.{}", name.escape_debug());
        let form = format!("[places.{code}] on one line, its latitude and longitude below it");
        let read = value::table(report, &shown, value, &form)
            .map(|table| place(report, key.span(), &code, table));
        given.push(read.unwrap_or(Given { code, coordinates: None, url_env: None }));
    }
    url_env::tell_apart(report, &mut given);
    Places { given }
}

fn code(report: &mut Report<'_>, span: Range<usize>, name: &str) -> String {
    if is_well_formed(name) && rust_name(name) != "Self" {
        return name.to_owned();
    }
    let (wrong, instead, code) = refusal(name);
    report.add(span, wrong, instead);
    // Shown in further messages about this place, so not what was refused: that may be a URL.
    code.unwrap_or_else(|| "CODE".to_owned())
}

fn place(report: &mut Report<'_>, header: Range<usize>, code: &str, table: &DeTable<'_>) -> Given {
    keys::check(report, &Section::Place(code), table);
    let built_in = built_in_places().iter().any(|place| place.code == code);
    let coordinates = coordinates::read(report, header, code, table, built_in);
    let url_env = table.get("url_env").and_then(|value| url_env::read(report, code, value));
    Given { code: code.to_owned(), coordinates, url_env }
}

impl Places {
    pub fn given(&self, code: &str) -> Option<&Given> {
        self.given.iter().find(|given| given.code == code)
    }

    /// Every place with known coordinates, in the order of their codes.
    pub fn all(&self) -> Vec<Place> {
        let mut all: Vec<Place> = built_in_places().to_vec();
        for given in &self.given {
            let Some((latitude, longitude)) = given.coordinates else {
                continue;
            };
            match all.iter_mut().find(|place| place.code == given.code) {
                Some(place) => (place.latitude, place.longitude) = (latitude, longitude),
                None => all.push(Place {
                    code: Cow::Owned(given.code.clone()),
                    city: None,
                    latitude,
                    longitude,
                }),
            }
        }
        all.sort_by(|a, b| a.code.cmp(&b.code));
        all
    }
}
