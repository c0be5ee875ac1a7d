//! The check of regions.toml: walks the whole file and collects every mistake.

mod distances;
mod duration;
mod fly;
mod invalid_code;
mod keys;
mod members;
mod place_tables;
mod resolve;
mod settings;
mod source_file;
mod suggest;
mod syntax;
mod value;

pub use distances::{Distance, check_distances};

use crate::mistake::Mistake;
use crate::regions::Regions;
use fly::FlyToml;
use keys::Section;
use source_file::SourceFile;
use toml::de::DeTable;

/// Checks the text of a regions.toml.
///
/// `file` is the name for mistakes. `fly_toml` is the text of the fly.toml beside it, whose
/// `primary_region` must be the same primary.
///
/// # Errors
/// Every mistake of both files: first those of `file` by line, then those of fly.toml by line. A
/// file with syntax errors is not checked further.
pub fn check(file: &str, text: &str, fly_toml: Option<&str>) -> Result<Regions, Vec<Mistake>> {
    let mut source = SourceFile::new(file, text);
    let fly_toml = fly_toml.map(|text| FlyToml::read(file, text));
    let regions =
        syntax::parse(&mut source).and_then(|table| walk(&mut source, &table, fly_toml.as_ref()));
    let mut mistakes = source.into_mistakes();
    mistakes.extend(fly_toml.into_iter().flat_map(|fly_toml| fly_toml.mistakes));
    match regions {
        Some(regions) if mistakes.is_empty() => Ok(regions),
        _ => Err(mistakes),
    }
}

/// Checks the parsed file. `None` only after a mistake was reported.
fn walk(
    source: &mut SourceFile<'_>,
    top: &DeTable<'_>,
    fly_toml: Option<&FlyToml>,
) -> Option<Regions> {
    keys::check(source, &Section::Top, top);
    let settings = settings::read(source, top);
    let places = place_tables::read(source, top);
    let members = members::read(source, top, fly_toml.and_then(FlyToml::primary));
    let resolved = resolve::resolve(source, &members, &places);
    if let (Some(fly_toml), Some(primary)) = (fly_toml, &members.primary) {
        fly_toml.compare(source, primary);
    }
    Some(Regions {
        file: source.name().to_owned(),
        primary: resolved.primary?,
        replicas: resolved.replicas,
        places: resolved.places,
        pool_size: settings.pool_size,
        max_lag: settings.max_lag,
        max_spill: settings.max_spill,
        follow_promotions: settings.follow_promotions,
        writes: settings.writes,
    })
}
