//! `[places.CODE]` tables: places beside the built-in ones, and options of any place.

mod coordinates;
pub(super) mod url_env;

use super::invalid_code;
use super::keys::{self, Section};
use super::settings::number;
use super::source_file::SourceFile;
use super::value;
use crate::places::{Place, built_in_places};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use toml::de::DeTable;

/// One `[places.CODE]`.
pub(super) struct PlaceTable {
    /// As in the file; for an invalid code, the one that was probably meant.
    pub code: String,
    /// Latitude and longitude; `None` if they are missing or invalid.
    pub coordinates: Option<(f64, f64)>,
    /// The variable's name, and where it stands.
    pub url_env: Option<(String, Range<usize>)>,
    /// How many servers there are, and where that stands.
    pub servers: Option<(u32, Range<usize>)>,
}

/// The most servers in one place.
const MAX_SERVERS: u32 = 9;

pub(super) fn read(source: &mut SourceFile<'_>, top: &DeTable<'_>) -> Vec<PlaceTable> {
    let mut places = Vec::new();
    let form = "[places.CODE] on one line and its latitude and longitude below it";
    let tables = top.get("places").and_then(|value| value::table(source, "places", value, form));
    for (key, value) in tables.into_iter().flatten() {
        let name = key.get_ref().as_ref();
        if let (false, Some(section)) = (value.get_ref().is_table(), keys::owning_section(name)) {
            source.report(
                key.span(),
                format!("unknown key `{name}` in [places], which holds one table for each place"),
                format!("move it {section}"),
            );
            continue;
        }
        let code = read_code(source, key.span(), name);
        let path = format!("places.{}", name.escape_debug());
        let form = format!("[places.{code}] on one line and its latitude and longitude below it");
        let place = match value::table(source, &path, value, &form) {
            Some(table) => read_place(source, key.span(), code, table),
            None => PlaceTable { code, coordinates: None, url_env: None, servers: None },
        };
        places.push(place);
    }
    url_env::check_duplicates(source, &places);
    places
}

fn read_code(source: &mut SourceFile<'_>, span: Range<usize>, name: &str) -> String {
    match invalid_code::validate(name) {
        Ok(()) => name.to_owned(),
        Err(invalid) => {
            source.report(span, invalid.problem, invalid.fix);
            // Later messages about this place show the code, and an invalid one may be a URL.
            invalid.intended.unwrap_or_else(|| "CODE".to_owned())
        }
    }
}

fn read_place(
    source: &mut SourceFile<'_>,
    header: Range<usize>,
    code: String,
    table: &DeTable<'_>,
) -> PlaceTable {
    keys::check(source, &Section::Place(&code), table);
    let is_built_in = built_in_places().iter().any(|place| place.code == code);
    let coordinates = coordinates::read(source, header, &code, table, is_built_in);
    let url_env = table.get("url_env").and_then(|value| url_env::read(source, &code, value));
    let servers = table.get("servers").and_then(|value| {
        let servers = number(source, "servers", value, 2, MAX_SERVERS)?;
        Some((servers, value.span()))
    });
    PlaceTable { code, coordinates, url_env, servers }
}

/// The built-in places and those of `tables` with valid coordinates, in the order of their codes.
pub(super) fn all_places(tables: &[PlaceTable]) -> Vec<Place> {
    let mut places: BTreeMap<Cow<'static, str>, Place> =
        built_in_places().iter().map(|place| (place.code.clone(), place.clone())).collect();
    for table in tables {
        let Some((latitude, longitude)) = table.coordinates else {
            continue;
        };
        let code: Cow<'static, str> = table.code.clone().into();
        let place =
            places.entry(code.clone()).or_insert(Place { code, city: None, latitude, longitude });
        (place.latitude, place.longitude) = (latitude, longitude);
    }
    places.into_values().collect()
}
