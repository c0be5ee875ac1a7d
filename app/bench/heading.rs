//! What is printed before anything is measured: what is about to be run, from where, how often and for how long.

use archipelago::RegionSet;
use archipelago_measure::Plan;
use humantime::format_duration;

use super::queries::{Query, Work};
use super::report::Report;
use crate::repos::Repos;

/// Of a benchmark whose pools have at most so many connections.
pub(super) fn of(report: &Report, work: Work, pool_size: u32) -> String {
    let Plan { warm_up, time, .. } = report.plan;
    let (name, meaning, statements) =
        (report.query.name(), report.query.meaning(), work.statements());
    let (from, pace) = (report.place(), report.pace());
    let whole = warm_up.saturating_add(time).saturating_mul(report.query.count()).as_secs_f64();
    let (warm_up, time) = (format_duration(warm_up), format_duration(time));
    let alone = match report.query {
        Query::Write => format!(
            "Only the primary, {}, has a row: a replica takes no writes.\n",
            Repos::PRIMARY.code
        ),
        Query::Index | Query::Show => String::new(),
    };
    let slow = if cfg!(debug_assertions) {
        "This program was built without optimization: with `cargo run --release` the shortest times are shorter.\n"
    } else {
        ""
    };
    format!(
        "{name}: {meaning}\n{statements}\n\nFrom {from}: {pace}.\n{warm_up} of warm-up and {time} of measuring for each region, \
         one region after the other: about {whole:.0} s. Up to {pool_size} connections to each.\n{alone}{slow}\n"
    )
}
