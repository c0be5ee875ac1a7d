//! A checked regions.toml as Rust source: one `repos!` call, which archipelago-macros (macros/src/parse.rs) parses.

use crate::code::is_identifier;
use crate::{Region, Regions, Writes, order};
use std::fmt;

/// The Rust source of `regions`: one call of `::archipelago::repos!`, ready to be included.
///
/// Its grammar has its other end in archipelago-macros (`macros/src/parse.rs`).
#[must_use]
pub fn render(regions: &Regions) -> String {
    Call(regions).to_string()
}

const MADE_BY: &str = "Made by archipelago-regions (regions/src/render.rs)";
const PARSED_BY: &str = "Parsed by archipelago-macros (macros/src/parse.rs).";

struct Call<'a>(&'a Regions);

impl fmt::Display for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let regions = self.0;
        writeln!(f, "// {MADE_BY} from {}. {PARSED_BY}", regions.file.escape_debug())?;
        writeln!(f, "::archipelago::repos! {{")?;
        writeln!(f, "    source {:?};", regions.file)?;
        write_region(f, "primary", &regions.primary)?;
        for replica in &regions.replicas {
            write_region(f, "replica", replica)?;
        }
        write_nearest(f, regions)?;
        write_settings(f, regions)?;
        writeln!(f, "}}")
    }
}

fn write_region(f: &mut fmt::Formatter<'_>, role: &str, region: &Region) -> fmt::Result {
    write!(f, "    {role} {} {{ line: {}", Code(&region.place.code), region.line)?;
    if let Some(city) = region.place.city {
        write!(f, ", place: {city:?}")?;
    }
    if let Some(variable) = &region.url_env {
        write!(f, ", url_env: {variable:?}")?;
    }
    writeln!(f, " }};")
}

fn write_nearest(f: &mut fmt::Formatter<'_>, regions: &Regions) -> fmt::Result {
    if regions.replicas.is_empty() {
        return Ok(());
    }
    for place in &regions.places {
        write!(f, "    nearest {}:", Code(&place.code))?;
        for (index, replica) in
            order(place, regions.replicas.iter().map(|replica| &replica.place)).iter().enumerate()
        {
            write!(f, "{} {}", if index == 0 { "" } else { "," }, Code(&replica.code))?;
        }
        writeln!(f, ";")?;
    }
    Ok(())
}

fn write_settings(f: &mut fmt::Formatter<'_>, regions: &Regions) -> fmt::Result {
    if let Some(size) = regions.pool_size {
        writeln!(f, "    pool_size {size};")?;
    }
    if let Some(lag) = regions.max_lag {
        writeln!(f, "    max_lag_ms {};", lag.as_millis())?;
    }
    if let Some(reads) = regions.max_spill {
        writeln!(f, "    max_spill {reads};")?;
    }
    match regions.writes {
        Some(Writes::Replay) => writeln!(f, "    writes replay;"),
        Some(Writes::Direct) => writeln!(f, "    writes direct;"),
        None => Ok(()),
    }
}

/// A code as the macro reads it: bare where it is an identifier (a keyword too), else a string.
struct Code<'a>(&'a str);

impl fmt::Display for Code<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(code) = self;
        if is_identifier(code) { write!(f, "{code}") } else { write!(f, "{code:?}") }
    }
}
