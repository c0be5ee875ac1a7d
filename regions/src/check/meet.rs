//! Where members and places meet: every member is somewhere, and every `url_env` belongs to a member.

use super::members::{Member, Members};
use super::places::Places;
use super::report::Report;
use super::suggest;
use super::value::quoted;
use crate::{Place, Region, built_in_places};

/// The primary and the replicas with their places; without those that have a mistake, which is reported.
pub(super) fn regions(
    report: &mut Report<'_>,
    members: &Members,
    places: &Places,
) -> (Option<Region>, Vec<Region>) {
    let all = places.all();
    let primary = members.primary.as_ref().and_then(|member| region(report, member, places, &all));
    let replicas =
        members.replicas.iter().filter_map(|member| region(report, member, places, &all)).collect();
    if members.complete {
        unread(report, members, places);
    }
    (primary, replicas)
}

fn region(
    report: &mut Report<'_>,
    member: &Member,
    places: &Places,
    all: &[Place],
) -> Option<Region> {
    let given = places.given(&member.code);
    let Some(place) = all.iter().find(|place| place.code == member.code) else {
        if given.is_none() && member.as_written {
            let wrong = format!("{} is no place that Archipelago knows", quoted(&member.code));
            report.add(member.span.clone(), wrong, where_instead(&member.code, places));
        }
        return None;
    };
    let url_env = given.and_then(|given| given.url_env.as_ref()).map(|(name, _)| name.clone());
    Some(Region { place: place.clone(), line: member.line, url_env })
}

fn where_instead(code: &str, places: &Places) -> String {
    let own = places.given.iter().map(|given| given.code.as_str());
    let known = built_in_places().iter().map(|place| place.code.as_ref());
    let meant = suggest::nearest(code, own.chain(known))
        .or_else(|| suggest::place_called(code).map(|place| place.code.as_ref()));
    let Some(meant) = meant else {
        let codes: Vec<&str> = built_in_places().iter().map(|place| place.code.as_ref()).collect();
        return format!(
            "add [places.{code}] with its latitude and longitude, or write one of {}",
            codes.join(", ")
        );
    };
    let city =
        built_in_places().iter().find(|place| place.code == meant).and_then(|place| place.city);
    let city = city.map(|city| format!(" ({city})")).unwrap_or_default();
    format!("write {meant:?}{city}, or add [places.{code}] with its latitude and longitude")
}

/// Reports a `url_env` that no region would ever read.
fn unread(report: &mut Report<'_>, members: &Members, places: &Places) {
    for given in &places.given {
        if let Some((name, span)) = &given.url_env
            && !members.iter().any(|member| member.code == given.code)
        {
            let code = given.code.escape_debug();
            report.add(
                span.clone(),
                format!("nothing reads {name}: \"{code}\" is neither the primary nor a replica"),
                format!("add \"{code}\" to `replicas`, or take the line out"),
            );
        }
    }
}
