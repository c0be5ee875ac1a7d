//! The report of `faults` as text and JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use archipelago_measure::table::{plain_table, trimmed};
use serde_json::{Value, json};

use super::Options;
use super::fault::Fault;
use super::figures::{Figures, Moments};
use super::visitors::Answer;
use crate::contenders::replica_region;

/// A request that takes longer is printed as a problem.
const LONG: Duration = Duration::from_secs(1);

/// The text above the table: what is measured, and what the columns mean.
#[must_use]
pub fn heading(options: &Options) -> String {
    let Options { reads, writes, seconds, .. } = options;
    format!(
        "An instance in {home} serves {reads} reads a second by visitors who have written nothing, and {writes} writes a \
         second, each followed by\na read of the same visitor. Each fault lasts {seconds} s. All requests count that end \
         after it began; a latency counts from the moment\nwhen the request was due. NEXT is the first other region that \
         serves a visitor who has written nothing, AFTER the beginning of the\nfault. HOME AGAIN counts from the beginning \
         of the repair, which may include a server's start. LONGEST is the longest read by a\nvisitor who has written \
         nothing, OWN by one who has just written.\n",
        home = replica_region(),
    )
}

/// A table with a row for each fault.
#[must_use]
pub fn table(rows: &[(Fault, Figures)]) -> String {
    let header = [
        "FAULT",
        "NEXT",
        "AFTER s",
        "HOME AGAIN s",
        "READS",
        "FAILED",
        "LONGEST ms",
        "OWN ms",
        "WRITES",
        "FAILED",
        "WITHOUT WRITES s",
        "NEW PRIMARY s",
    ];
    let mut table = plain_table(header, 2);
    let milliseconds = |time: Duration| format!("{:.0}", time.as_secs_f64() * 1000.0);
    let seconds = |time: Option<Duration>| {
        time.map_or("-".to_owned(), |time| format!("{:.2}", time.as_secs_f64()))
    };
    for (fault, figures) in rows {
        table.add_row([
            fault.meaning(),
            figures.next.as_ref().map_or("-".to_owned(), |(region, _)| region.clone()),
            seconds(figures.next.as_ref().map(|(_, after)| *after)),
            seconds(figures.home_again),
            figures.reads.to_string(),
            figures.failed_reads.to_string(),
            milliseconds(figures.longest_read),
            milliseconds(figures.longest_own_read),
            figures.writes.to_string(),
            figures.failed_writes.to_string(),
            seconds(Some(figures.without_writes)),
            seconds(figures.new_primary),
        ]);
    }
    trimmed(&table)
}

/// All figures; times are in seconds.
///
/// # Errors
/// When they cannot be serialized.
pub fn json(rows: &[(Fault, Figures)]) -> serde_json::Result<String> {
    let object = |(fault, figures): &(Fault, Figures)| {
        json!({
            "fault": fault.name(),
            "reads": figures.reads,
            "failed_reads": figures.failed_reads,
            "longest_read": figures.longest_read.as_secs_f64(),
            "longest_own_read": figures.longest_own_read.as_secs_f64(),
            "next_region": figures.next.as_ref().map(|(region, _)| region),
            "next_serves_after": figures.next.as_ref().map(|(_, after)| after.as_secs_f64()),
            "home_serves_again_after": figures.home_again.map(|time| time.as_secs_f64()),
            "writes": figures.writes,
            "failed_writes": figures.failed_writes,
            "without_writes": figures.without_writes.as_secs_f64(),
            "new_primary_after": figures.new_primary.map(|time| time.as_secs_f64()),
        })
    };
    Ok(serde_json::to_string_pretty(&rows.iter().map(object).collect::<Vec<Value>>())? + "\n")
}

/// What failed or took long, and how often: `3 × Read: 503 Service Unavailable`.
#[must_use]
pub fn problems(moments: &Moments, answers: &[Answer]) -> Vec<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for answer in answers.iter().filter(|answer| answer.end >= moments.began) {
        if let Some(problem) = &answer.problem {
            *counts.entry(format!("{:?}: {problem}", answer.kind)).or_default() += 1;
        }
        if answer.end - answer.due > LONG {
            *counts.entry(format!("{:?}: took longer than {LONG:?}", answer.kind)).or_default() +=
                1;
        }
    }
    counts.into_iter().map(|(problem, count)| format!("{count} × {problem}")).collect()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn each_fault_has_a_row() {
        let milliseconds = Duration::from_millis;
        let figures = Figures {
            reads: 8412,
            failed_reads: 0,
            longest_read: milliseconds(61),
            longest_own_read: milliseconds(181),
            next: Some(("atl".to_owned(), milliseconds(32))),
            home_again: Some(milliseconds(2104)),
            writes: 420,
            failed_writes: 3,
            without_writes: milliseconds(180),
            new_primary: None,
        };
        expect![[r#"
            FAULT                  NEXT  AFTER s  HOME AGAIN s  READS  FAILED  LONGEST ms  OWN ms  WRITES  FAILED  WITHOUT WRITES s  NEW PRIMARY s
            ord's replica crashes  atl      0.03          2.10   8412       0          61     181     420       3              0.18              -
        "#]].assert_eq(&table(&[(Fault::Kill, figures)]));
    }
}
