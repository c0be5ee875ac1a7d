//! The text that is printed before measuring: the query, the pace and how long it takes.

use archipelago::RegionSet;
use archipelago_measure::Plan;
use humantime::format_duration;

use super::queries::{Query, Work};
use super::report::Report;
use crate::repos::Repos;

/// Each pool has at most `pool_size` connections.
pub(super) fn text(report: &Report, work: Work, pool_size: u32) -> String {
    let Plan { warm_up, time, .. } = report.plan;
    let (name, meaning, statements) =
        (report.query.name(), report.query.meaning(), work.statements());
    let (from, pace) = (report.region_in_words(), report.plan.pace_in_words());
    let whole = warm_up.saturating_add(time).saturating_mul(report.query.count()).as_secs_f64();
    let (warm_up, time) = (format_duration(warm_up), format_duration(time));
    let primary_only = match report.query {
        Query::Write => format!(
            "Only the primary, {}, is measured: a replica takes no writes.\n",
            Repos::PRIMARY.code
        ),
        Query::Index | Query::Show => String::new(),
    };
    let unoptimized = if cfg!(debug_assertions) {
        "This program was built without optimization; use `cargo run --release` for shorter times.\n"
    } else {
        ""
    };
    format!(
        "{name}: {meaning}\n{statements}\n\nFrom {from}: {pace}.\n{warm_up} of warm-up and {time} of measuring for each region, \
         one region after the other: about {whole:.0} s. Up to {pool_size} connections to each.\n{primary_only}{unoptimized}\n"
    )
}
