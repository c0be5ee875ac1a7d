//! The report of a benchmark: an entry for each region, as JSON and as a chart.

use archipelago::{RegionInfo, Role};
use archipelago_measure::{Chart, Entry, EntryFigures, Outcome, Plan, report};
use humantime::format_duration;
use serde::Serialize;

use super::queries::Query;
use crate::repos::Repos;

/// What was run, and an entry for each region.
#[derive(Clone, Debug)]
pub(super) struct Report {
    /// The region that the databases are seen from; `None` when `FLY_REGION` is not set.
    pub(super) from: Option<String>,
    pub(super) query: Query,
    pub(super) plan: Plan,
    /// The fastest region first, those without figures last.
    pub(super) entries: Vec<Entry>,
}

/// The entry of a region.
pub(super) fn entry(info: &RegionInfo, outcome: &Outcome) -> Entry {
    Entry {
        detail: info.place.unwrap_or_default().to_owned(),
        is_accented: info.role == Role::Primary,
        ..Entry::new(info.code, info.role.as_str(), outcome)
    }
}

impl Report {
    /// A report without entries. An empty `from` means that the region is not known.
    pub(super) fn new(from: &str, query: Query, plan: Plan) -> Self {
        let from = Some(from.to_owned()).filter(|from| !from.is_empty());
        Self { from, query, plan, entries: Vec::new() }
    }

    /// Sets the entries, in any order.
    pub(super) fn set_entries(&mut self, mut entries: Vec<Entry>) {
        report::sort(&mut entries);
        self.entries = entries;
    }

    /// The region that the databases are seen from, in words.
    pub(super) fn region_in_words(&self) -> String {
        let Some(code) = &self.from else {
            return "this machine, whose region FLY_REGION does not name".to_owned();
        };
        let place =
            Repos::REGIONS.iter().find(|info| info.code == code).and_then(|info| info.place);
        place.map_or_else(|| code.clone(), |place| format!("{code} ({place})"))
    }

    /// The table, the comparison and notes.
    pub(super) fn text(&self) -> String {
        report::text(&self.entries, ["REGION", "ROLE"])
    }

    /// The figures for programs.
    pub(super) fn json(&self) -> Result<String, serde_json::Error> {
        let regions = self.entries.iter().map(|entry| Line {
            region: &entry.name,
            role: &entry.kind,
            figures: entry.figures(),
        });
        let document = Document { from: self.from.as_deref(), regions: regions.collect() };
        Ok(serde_json::to_string_pretty(&document)? + "\n")
    }

    /// The distributions as a chart.
    pub(super) fn svg(&self) -> Result<String, askama::Error> {
        let from = self.from.as_deref().unwrap_or("this machine");
        let title = format!("Latency of each region, seen from {from}");
        let subtitle = format!(
            "{}: {} · {} · {} each",
            self.query.name(),
            self.query.meaning(),
            self.plan.pace_in_words(),
            format_duration(self.plan.time)
        );
        Chart { title: &title, subtitle: &subtitle, entries: &self.entries }.svg()
    }
}

#[derive(Serialize)]
struct Document<'a> {
    from: Option<&'a str>,
    regions: Vec<Line<'a>>,
}

#[derive(Serialize)]
struct Line<'a> {
    region: &'a str,
    role: &'a str,
    #[serde(flatten)]
    figures: EntryFigures,
}
