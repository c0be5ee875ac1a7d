//! The figures of a report: how many requests succeeded, and how long recovery took.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::check::MARGIN;
use crate::history::{History, Operation, Outcome};
use crate::nemesis::AppliedFault;
use crate::workload::{OPERATOR, Request};

/// How many of some requests succeeded.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Availability {
    /// All of them.
    pub total: u32,
    /// Those that succeeded.
    pub ok: u32,
    /// The longest of those that succeeded, in seconds.
    #[serde(serialize_with = "seconds")]
    pub longest: Duration,
}

impl Availability {
    pub(super) fn add(&mut self, is_ok: bool, took: Duration) {
        self.total += 1;
        if is_ok {
            self.ok += 1;
            self.longest = self.longest.max(took);
        }
    }

    /// The share that succeeded, rounded down so that 100 % means all.
    pub(super) fn share(self) -> String {
        if self.total == 0 {
            return "-".to_owned();
        }
        let hundredths = u64::from(self.ok) * 10_000 / u64::from(self.total);
        format!("{}.{:02} %", hundredths / 100, hundredths % 100)
    }
}

/// For each fault the time from its start until every region was served again, in seconds; 0 where
/// no request failed.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Recovery(#[serde(serialize_with = "all_seconds")] Vec<Duration>);

impl Recovery {
    /// Adds one fault. Each region recovers with its first success after its last failure. Failures
    /// count from the fault's start to [`MARGIN`] after its end; those that end after the next
    /// fault began belong to that one.
    pub(super) fn add(
        &mut self,
        history: &History,
        fault: &AppliedFault,
        is_counted: fn(Request) -> bool,
    ) {
        let next_fault =
            history.faults.iter().map(|other| other.from).filter(|from| *from > fault.until).min();
        let is_during = |it: &&Operation| {
            it.end >= fault.from
                && it.start < fault.until + MARGIN
                && next_fault.is_none_or(|next| it.end < next)
        };
        let is_ok = |it: &&Operation| it.outcome == Outcome::Ok;
        let recovered = history.regions.iter().filter_map(|region| {
            let of_region = || {
                let operations = history.operations.iter();
                operations.filter(|it| {
                    it.region == *region && it.client != OPERATOR && is_counted(it.request)
                })
            };
            let last_failure = of_region().filter(is_during).rfind(|it| !is_ok(it))?;
            let since = last_failure.start.max(fault.from);
            let success =
                of_region().filter(is_ok).filter(|it| it.start > since).map(|it| it.end).min()?;
            Some(success.saturating_sub(fault.from))
        });
        self.0.push(recovered.max().unwrap_or_default());
    }

    /// The median and the longest.
    pub(super) fn cells(&self) -> [String; 2] {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let cell =
            |time: Option<&Duration>| time.map_or("-".to_owned(), |time| seconds_text(*time));
        [cell(sorted.get(sorted.len() / 2)), cell(sorted.last())]
    }
}

/// `0.12 s`
pub(super) fn seconds_text(time: Duration) -> String {
    if time.is_zero() { "0".to_owned() } else { format!("{:.2} s", time.as_secs_f64()) }
}

fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

fn all_seconds<S: Serializer>(times: &[Duration], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(times.iter().map(Duration::as_secs_f64))
}
