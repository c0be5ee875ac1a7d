//! The report of a comparison: one entry for each subject, as a table and for JSON.

use std::fmt::Write;

use serde::Serialize;

use crate::outcome::{Outcome, Summary};
use crate::table::{plain_table, trimmed};

/// One of the subjects that are compared, with what was measured of it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The subject's name.
    pub name: String,
    /// What kind of subject it is.
    pub kind: String,
    /// More about the subject, shown in a chart only.
    pub detail: String,
    /// Whether a chart draws the subject in the accent colour.
    pub is_accented: bool,
    /// How many rows an iteration reads or writes.
    pub rows: Option<usize>,
    /// How many iterations failed.
    pub errors: u64,
    /// The message of the last error.
    pub last_error: Option<String>,
    /// How many iterations were due but never began.
    pub never_begun: u64,
    /// The figures; `None` when no iteration succeeded.
    pub summary: Option<Summary>,
}

impl Entry {
    /// The entry of a subject with this outcome, without details and not accented.
    #[must_use]
    pub fn new(name: &str, kind: &str, outcome: &Outcome) -> Self {
        Self {
            name: name.to_owned(),
            kind: kind.to_owned(),
            detail: String::new(),
            is_accented: false,
            rows: outcome.rows,
            errors: outcome.errors,
            last_error: outcome.last_error.clone(),
            never_begun: outcome.never_begun,
            summary: outcome.summary(),
        }
    }

    /// The entry's figures for JSON.
    #[must_use]
    pub fn figures(&self) -> EntryFigures {
        // The histogram keeps three digits, so microseconds are precise enough.
        let figure = |figure: fn(&Summary) -> f64| {
            self.summary.as_ref().map(|summary| (figure(summary) * 1000.0).round() / 1000.0)
        };
        EntryFigures {
            ips: figure(|summary| summary.per_second),
            average_ms: figure(|summary| summary.average),
            deviation_pct: figure(|summary| summary.deviation),
            median_ms: figure(|summary| summary.median),
            p99_ms: figure(|summary| summary.p99),
            rows: self.rows,
            errors: self.errors,
        }
    }
}

/// The figures of an entry as they are written to JSON: `null` when no iteration succeeded.
#[derive(Clone, Debug, Serialize)]
pub struct EntryFigures {
    ips: Option<f64>,
    average_ms: Option<f64>,
    deviation_pct: Option<f64>,
    median_ms: Option<f64>,
    p99_ms: Option<f64>,
    rows: Option<usize>,
    errors: u64,
}

/// Sorts the fastest entry first, and entries without figures last.
pub fn sort(entries: &mut [Entry]) {
    // The average and not iterations per second: at a rate, all that keep up have the same number.
    let average = |entry: &Entry| entry.summary.map_or(f64::INFINITY, |summary| summary.average);
    entries.sort_by(|one, other| average(one).total_cmp(&average(other)));
}

/// All of the report as text: the figures, each entry compared with the first, and notes.
///
/// `name` and `kind` are the headings of the first two columns.
#[must_use]
pub fn text(entries: &[Entry], [name, kind]: [&str; 2]) -> String {
    [figures(entries, [name, kind]), comparison(entries), notes(entries)]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

fn figures(entries: &[Entry], [name, kind]: [&str; 2]) -> String {
    let header = [name, kind, "IPS", "AVERAGE", "DEVIATION", "MEDIAN", "99TH %", "ROWS", "ERRORS"];
    let mut table = plain_table(header, 2);
    let digits = digits(entries);
    for Entry { name, kind, rows, errors, summary, .. } in entries {
        let figure =
            |show: &dyn Fn(&Summary) -> String| summary.as_ref().map_or("-".to_owned(), show);
        table.add_row([
            name.clone(),
            kind.clone(),
            figure(&|summary| format!("{:.2}", summary.per_second)),
            figure(&|summary| format!("{:.digits$} ms", summary.average)),
            figure(&|summary| format!("±{:.2} %", summary.deviation)),
            figure(&|summary| format!("{:.digits$} ms", summary.median)),
            figure(&|summary| format!("{:.digits$} ms", summary.p99)),
            rows.map_or("-".to_owned(), |rows| rows.to_string()),
            errors.to_string(),
        ]);
    }
    trimmed(&table)
}

/// Compares the averages, by which the entries are sorted. Empty unless two entries have figures.
fn comparison(entries: &[Entry]) -> String {
    let mut measured = entries.iter().filter_map(|entry| Some((&entry.name, entry.summary?)));
    let Some((first, fastest)) = measured.next() else { return String::new() };
    let digits = digits(entries);
    let mut table = plain_table(["COMPARISON", "IPS", "", ""], 1);
    table.add_row([
        first.clone(),
        format!("{:.2}", fastest.per_second),
        String::new(),
        String::new(),
    ]);
    for (name, summary) in measured {
        table.add_row([
            name.clone(),
            format!("{:.2}", summary.per_second),
            format!("{:.2}x slower", summary.average / fastest.average),
            format!("+{:.digits$} ms", summary.average - fastest.average),
        ]);
    }
    if table.row_count() > 1 { trimmed(&table) } else { String::new() }
}

fn notes(entries: &[Entry]) -> String {
    let mut notes = String::new();
    for Entry { name, errors, last_error, never_begun, .. } in entries {
        if let Some(error) = last_error {
            let _ = writeln!(notes, "{name}: {errors} iterations failed; the last error: {error}");
        }
        if *never_begun > 0 {
            let _ = writeln!(
                notes,
                "{name}: {never_begun} iterations were due but never began, because every loop was \
                 busy; the time that they waited counts as their latency. With more loops or a \
                 lower rate all would begin."
            );
        }
    }
    notes
}

/// Digits after the decimal point: three for all times when a median is below a millisecond.
fn digits(entries: &[Entry]) -> usize {
    let is_fast = |entry: &Entry| entry.summary.is_some_and(|summary| summary.median < 1.0);
    if entries.iter().any(is_fast) { 3 } else { 2 }
}
