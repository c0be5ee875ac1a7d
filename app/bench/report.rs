//! What came of a benchmark, as plain data; and as JSON.

use std::time::Duration;

use archipelago::{RegionInfo, Role};
use archipelago_measure::{Outcome, Plan};
use serde::Serialize;

use super::queries::Query;
use crate::repos::Repos;

/// A benchmark: what was run, and a row for each region.
#[derive(Clone, Debug)]
pub(super) struct Report {
    /// The region that the databases are seen from; none where nobody said.
    pub(super) from: Option<String>,
    pub(super) query: Query,
    pub(super) plan: Plan,
    /// The fastest first; those without figures last.
    pub(super) rows: Vec<Row>,
}

/// One region.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) region: &'static str,
    /// Where that is, for people.
    pub(super) place: Option<&'static str>,
    pub(super) role: Role,
    /// Of one answer.
    pub(super) rows: Option<usize>,
    pub(super) errors: u64,
    pub(super) last_error: Option<String>,
    /// Iterations that were due, and that no loop came free for.
    pub(super) never_begun: u64,
    /// None where every iteration failed.
    pub(super) figures: Option<Figures>,
}

/// What one region's latencies amount to. Times are in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figures {
    /// Iterations per second, of all loops together.
    pub(super) per_second: f64,
    pub(super) average: f64,
    /// In percent of the average.
    pub(super) deviation: f64,
    pub(super) p1: f64,
    pub(super) p25: f64,
    pub(super) median: f64,
    pub(super) p75: f64,
    pub(super) p99: f64,
}

impl Report {
    pub(super) fn new(from: &str, query: Query, plan: Plan) -> Self {
        Self {
            from: Some(from.to_owned()).filter(|from| !from.is_empty()),
            query,
            plan,
            rows: Vec::new(),
        }
    }

    /// Takes what was measured, in whatever order.
    pub(super) fn fill(&mut self, rows: Vec<Row>) {
        self.rows = rows;
        // By what one iteration takes: with a rate, all regions that keep up have the same iterations per second.
        let speed = |row: &Row| row.figures.map_or(f64::INFINITY, |figures| figures.average);
        self.rows.sort_by(|one, other| speed(one).total_cmp(&speed(other)));
    }

    /// The region that the databases are seen from, in words.
    pub(super) fn place(&self) -> String {
        let Some(code) = &self.from else {
            return "this machine, in no region that FLY_REGION names".to_owned();
        };
        let place =
            Repos::REGIONS.iter().find(|info| info.code == code).and_then(|info| info.place);
        place.map_or_else(|| code.clone(), |place| format!("{code} ({place})"))
    }

    /// How often the databases were asked, in words.
    pub(super) fn pace(&self) -> String {
        let loops = match self.plan.parallel {
            1 => "1 loop".to_owned(),
            loops => format!("{loops} loops in parallel"),
        };
        match self.plan.rate {
            Some(rate) => format!("{rate} iterations per second by {loops}"),
            None => format!("{loops}, back to back"),
        }
    }

    /// For programs.
    pub(super) fn json(&self) -> Result<String, serde_json::Error> {
        let regions = self.rows.iter().map(Line::of).collect();
        Ok(serde_json::to_string_pretty(&Document { from: self.from.as_deref(), regions })? + "\n")
    }
}

impl Row {
    pub(super) fn of(info: &RegionInfo, outcome: &Outcome) -> Self {
        Self {
            region: info.code,
            place: info.place,
            role: info.role,
            rows: outcome.rows,
            errors: outcome.errors,
            last_error: outcome.last_error.clone(),
            never_begun: outcome.never_begun,
            figures: Figures::of(outcome),
        }
    }
}

impl Figures {
    fn of(outcome: &Outcome) -> Option<Self> {
        let percentile = |percent| outcome.percentile(percent).map(milliseconds);
        Some(Self {
            per_second: outcome.per_second()?,
            average: outcome.average().map(milliseconds)?,
            deviation: outcome.deviation()? * 100.0,
            p1: percentile(1.0)?,
            p25: percentile(25.0)?,
            median: percentile(50.0)?,
            p75: percentile(75.0)?,
            p99: percentile(99.0)?,
        })
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[derive(Serialize)]
struct Document<'a> {
    from: Option<&'a str>,
    regions: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    region: &'static str,
    role: &'static str,
    ips: Option<f64>,
    average_ms: Option<f64>,
    deviation_pct: Option<f64>,
    median_ms: Option<f64>,
    p99_ms: Option<f64>,
    rows: Option<usize>,
    errors: u64,
}

impl Line {
    fn of(row: &Row) -> Self {
        // The histogram knows no more than three digits; microseconds are enough.
        let figure = |figure: fn(&Figures) -> f64| {
            row.figures.as_ref().map(|figures| (figure(figures) * 1000.0).round() / 1000.0)
        };
        Self {
            region: row.region,
            role: row.role.as_str(),
            ips: figure(|figures| figures.per_second),
            average_ms: figure(|figures| figures.average),
            deviation_pct: figure(|figures| figures.deviation),
            median_ms: figure(|figures| figures.median),
            p99_ms: figure(|figures| figures.p99),
            rows: row.rows,
            errors: row.errors,
        }
    }
}
