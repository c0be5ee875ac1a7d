//! The figures as they are printed: a row for each region, the comparison, and what went wrong.

use std::fmt::Write;

use super::report::{Figures, Report, Row};
use crate::plain_table::{plain_table, trimmed};

/// Everything that is printed once the measuring is over.
pub(super) fn of(report: &Report) -> String {
    [figures(report), comparison(report), notes(report)]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

fn figures(report: &Report) -> String {
    let header =
        ["REGION", "ROLE", "IPS", "AVERAGE", "DEVIATION", "MEDIAN", "99TH %", "ROWS", "ERRORS"];
    let mut table = plain_table(header, 2);
    let fine = is_fine(report);
    for Row { region, role, rows, errors, figures, .. } in &report.rows {
        let figure =
            |show: &dyn Fn(&Figures) -> String| figures.as_ref().map_or("-".to_owned(), show);
        table.add_row([
            (*region).to_owned(),
            role.to_string(),
            figure(&|figures| format!("{:.2}", figures.per_second)),
            figure(&|figures| time(figures.average, fine)),
            figure(&|figures| format!("±{:.2} %", figures.deviation)),
            figure(&|figures| time(figures.median, fine)),
            figure(&|figures| time(figures.p99, fine)),
            rows.map_or("-".to_owned(), |rows| rows.to_string()),
            errors.to_string(),
        ]);
    }
    trimmed(&table)
}

/// By the averages, as the rows are sorted. A single region has nothing to be compared with.
fn comparison(report: &Report) -> String {
    let mut regions = report.rows.iter().filter_map(|row| Some((row.region, row.figures?)));
    let Some((fastest, best)) = regions.next() else { return String::new() };
    let fine = is_fine(report);
    let mut table = plain_table(["COMPARISON", "IPS", "", ""], 1);
    table.add_row([
        fastest.to_owned(),
        format!("{:.2}", best.per_second),
        String::new(),
        String::new(),
    ]);
    for (region, figures) in regions {
        table.add_row([
            region.to_owned(),
            format!("{:.2}", figures.per_second),
            format!("{:.2}x slower", figures.average / best.average),
            format!("+{}", time(figures.average - best.average, fine)),
        ]);
    }
    if table.row_count() > 1 { trimmed(&table) } else { String::new() }
}

fn notes(report: &Report) -> String {
    let mut notes = String::new();
    for Row { region, errors, last_error, never_begun, .. } in &report.rows {
        if let Some(error) = last_error {
            let _ = writeln!(notes, "{region}: {errors} failed, the last one because: {error}");
        }
        if *never_begun > 0 {
            let _ = writeln!(
                notes,
                "{region}: {never_begun} were due and never began, because every loop was busy; they count with what they waited. \
                 More loops (--parallel) or a lower --rate would let all begin."
            );
        }
    }
    notes
}

/// Whether somebody is so fast that hundredths of a millisecond say too little.
fn is_fine(report: &Report) -> bool {
    report.rows.iter().any(|row| row.figures.is_some_and(|figures| figures.median < 1.0))
}

fn time(milliseconds: f64, fine: bool) -> String {
    let digits = if fine { 3 } else { 2 };
    format!("{milliseconds:.digits$} ms")
}
