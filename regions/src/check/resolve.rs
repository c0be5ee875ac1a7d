//! Resolves members to places: every member has a place, and every `url_env` belongs to a member.

use super::members::{Member, Members};
use super::place_tables::{PlaceTable, all_places};
use super::source_file::SourceFile;
use super::suggest::Suggestions;
use super::value::quoted;
use crate::places::{Place, built_in_places};
use crate::regions::Region;
use std::collections::{HashMap, HashSet};

/// The members with their places, without those that have a mistake.
pub(super) struct Resolved {
    pub primary: Option<Region>,
    pub replicas: Vec<Region>,
    /// Every place that an instance may run in, in the order of their codes.
    pub places: Vec<Place>,
}

pub(super) fn resolve(
    source: &mut SourceFile<'_>,
    members: &Members,
    tables: &[PlaceTable],
) -> Resolved {
    let places = all_places(tables);
    let mut tables_by_code: HashMap<&str, &PlaceTable> = HashMap::new();
    for table in tables {
        tables_by_code.entry(&table.code).or_insert(table);
    }
    let codes = tables.iter().map(|table| table.code.as_str());
    let built_in = built_in_places().iter().map(|place| place.code.as_ref());
    let mut suggestions = Suggestions::of(codes.chain(built_in));

    let mut region = |member: &Member| {
        let table = tables_by_code.get(member.code.as_str());
        let place = find(&places, &member.code);
        if place.is_none() && table.is_none() && member.is_verbatim {
            report_unknown(source, member, &mut suggestions);
        }
        let url_env = table.and_then(|table| table.url_env.as_ref());
        Some(Region {
            place: place?.clone(),
            line: member.line,
            url_env: url_env.map(|(name, _)| name.clone()),
        })
    };
    let primary = members.primary.as_ref().and_then(&mut region);
    let replicas = members.replicas.iter().filter_map(region).collect();
    if members.is_complete {
        check_unused_variables(source, members, tables);
    }
    Resolved { primary, replicas, places }
}

/// The place with that code in `places`, which are in the order of their codes.
fn find<'p>(places: &'p [Place], code: &str) -> Option<&'p Place> {
    let index = places.binary_search_by(|place| place.code.as_ref().cmp(code)).ok()?;
    places.get(index)
}

fn report_unknown(source: &mut SourceFile<'_>, member: &Member, suggestions: &mut Suggestions<'_>) {
    let code = &member.code;
    let fix = if let Some(suggested) = suggestions.for_code(code) {
        let city = find(built_in_places(), suggested).and_then(|place| place.city);
        let city = city.map(|city| format!(" ({city})")).unwrap_or_default();
        format!("write {suggested:?}{city}, or add [places.{code}] with its latitude and longitude")
    } else {
        let codes: Vec<&str> = built_in_places().iter().map(|place| place.code.as_ref()).collect();
        format!(
            "add [places.{code}] with its latitude and longitude, or write one of {}",
            codes.join(", ")
        )
    };
    source.report(member.span.clone(), format!("{} is not a known place", quoted(code)), fix);
}

/// Reports each `url_env` of a place that is no member.
fn check_unused_variables(source: &mut SourceFile<'_>, members: &Members, tables: &[PlaceTable]) {
    let codes: HashSet<&str> = members.iter().map(|member| member.code.as_str()).collect();
    for table in tables {
        if let Some((name, span)) = &table.url_env
            && !codes.contains(table.code.as_str())
        {
            let code = quoted(&table.code);
            source.report(
                span.clone(),
                format!("{name} is never read: {code} is neither the primary nor a replica"),
                format!("add {code} to `replicas`, or remove the line"),
            );
        }
    }
}
