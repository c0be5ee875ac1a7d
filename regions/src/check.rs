//! What regions.toml may say: walks the whole file and collects every mistake.

mod distances;
mod duration;
mod fly;
mod keys;
mod meet;
mod members;
mod places;
mod report;
mod settings;
mod suggest;
mod syntax;
mod value;

pub use distances::{Distance, check_distances};

use crate::{Mistake, Regions};
use keys::Section;
use report::Report;
use toml::de::DeTable;

/// Checks the text of a regions.toml.
///
/// `file` is the name that mistakes are reported under; `fly_toml` is the text of the `fly.toml` beside it, whose
/// `primary_region` must be the primary here.
///
/// # Errors
/// Every mistake of both files, those of `file` first, each file's by line. Where a syntax error leaves open what the
/// rest of the file means, only the syntax errors are reported.
pub fn check(file: &str, source: &str, fly_toml: Option<&str>) -> Result<Regions, Vec<Mistake>> {
    let mut report = Report::new(file, source);
    let fly = fly_toml.map(|text| fly::read(file, text));
    let regions =
        syntax::parse(&mut report).and_then(|table| walk(&table, &mut report, fly.as_ref()));
    let mut mistakes = report.into_mistakes();
    mistakes.extend(fly.into_iter().flat_map(|fly| fly.mistakes));
    match regions {
        Some(regions) if mistakes.is_empty() => Ok(regions),
        _ => Err(mistakes),
    }
}

/// `None` only after a mistake was reported.
fn walk(table: &DeTable<'_>, report: &mut Report<'_>, fly: Option<&fly::Fly>) -> Option<Regions> {
    keys::check(report, &Section::Top, table);
    let settings = settings::read(report, table);
    let places = places::read(report, table);
    let members = members::read(report, table, fly);
    let (primary, replicas) = meet::regions(report, &members, &places);
    if let (Some(fly), Some(member)) = (fly, &members.primary) {
        fly.compare(report, member);
    }
    Some(Regions {
        file: report.file().to_owned(),
        primary: primary?,
        replicas,
        places: places.all(),
        pool_size: settings.pool_size,
        max_lag: settings.max_lag,
        max_spill: settings.max_spill,
        writes: settings.writes,
    })
}
