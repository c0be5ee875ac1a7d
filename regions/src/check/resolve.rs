//! Resolves members to places: every member has a place, and every `url_env` belongs to a member.

use super::members::{Member, Members};
use super::place_tables::url_env::server_variable;
use super::place_tables::{PlaceTable, all_places};
use super::source_file::SourceFile;
use super::suggest::Suggestions;
use super::value::quoted;
use crate::places::{Place, built_in_places};
use crate::regions::{Region, server_code};
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

    let mut servers = |member: &Member| {
        let table = tables_by_code.get(member.code.as_str());
        let place = find(&places, &member.code);
        if place.is_none() && table.is_none() && member.is_verbatim {
            report_unknown(source, member, &mut suggestions);
        }
        let url_env = table.and_then(|table| table.url_env.as_ref());
        let count = table.and_then(|table| table.servers.as_ref()).map_or(1, |(count, _)| *count);
        let Some(place) = place else { return Vec::new() };
        let region = |server| Region {
            place: place.clone(),
            server,
            line: member.line,
            url_env: url_env.map(|(name, _)| server_variable(name, server)),
        };
        (1..=count).map(region).collect()
    };
    let primary = members.primary.as_ref().and_then(|member| servers(member).into_iter().next());
    let replicas: Vec<_> = members.replicas.iter().flat_map(servers).collect();
    if members.is_complete {
        check_unused_variables(source, members, tables);
        check_servers(source, members, tables);
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

/// Reports several servers where there can be one, and a code that another server has.
fn check_servers(source: &mut SourceFile<'_>, members: &Members, tables: &[PlaceTable]) {
    let is_replica = |code: &str| members.replicas.iter().any(|member| member.code == code);
    let is_member = |code: &str| members.iter().any(|member| member.code == code);
    for PlaceTable { code, servers, .. } in tables {
        let Some((count, span)) = servers else { continue };
        let taken = (2..=*count).map(|server| server_code(code, server));
        if *count > 1 && !is_replica(code) {
            source.report(
                span.clone(),
                format!("{} has no replica, and `servers` counts replicas", quoted(code)),
                format!("add {} to `replicas`, or remove the line", quoted(code)),
            );
        } else if let Some(taken) = taken.into_iter().find(|taken| is_member(taken)) {
            source.report(
                span.clone(),
                format!("a server of {} and a region are both {}", quoted(code), quoted(&taken)),
                format!("give region {} another code, or write fewer `servers`", quoted(&taken)),
            );
        }
    }
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
