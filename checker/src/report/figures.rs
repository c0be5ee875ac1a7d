//! Single figures: shares, and times until all was well again.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::check::MARGIN;
use crate::history::History;
use crate::history::operation::{Action, Operation, Outcome};
use crate::nemesis::fault::Happened;

/// How many of some operations succeeded.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Availability {
    /// All of them.
    pub of: u32,
    /// Those that succeeded.
    pub good: u32,
    /// The longest of those.
    #[serde(serialize_with = "seconds")]
    pub longest: Duration,
}

impl Availability {
    pub(super) fn add(&mut self, is_good: bool, took: Duration) {
        self.of += 1;
        if is_good {
            self.good += 1;
            self.longest = self.longest.max(took);
        }
    }

    /// In per cent. Rounded down: 100 means all.
    pub(super) fn share(self) -> String {
        if self.of == 0 {
            return "-".to_owned();
        }
        let hundredths = u64::from(self.good) * 10_000 / u64::from(self.of);
        format!("{}.{:02} %", hundredths / 100, hundredths % 100)
    }
}

/// From the beginning of each fault until everybody was served again; zero where nobody was refused.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Recovery(#[serde(serialize_with = "many_seconds")] Vec<Duration>);

impl Recovery {
    /// Looks at each region for the last operation that failed and was under way from the fault's beginning to a while after its end,
    /// and for the first good one after that. What ends behind the beginning of the next fault is that one's.
    pub(super) fn add(&mut self, history: &History, fault: &Happened, is_of: fn(Action) -> bool) {
        let next =
            history.faults.iter().map(|other| other.from).filter(|from| *from > fault.until).min();
        let is_felt = |it: &&Operation| {
            it.end >= fault.from
                && it.start < fault.until + MARGIN
                && next.is_none_or(|next| it.end < next)
        };
        let recovered = history.regions.iter().map(|region| {
            let here = |it: &&Operation| it.place == *region && is_of(it.action);
            let is_good = |it: &&Operation| it.outcome == Outcome::Done;
            let of_region = || history.operations.iter().filter(here);
            let failed = of_region().filter(is_felt).rfind(|it| !is_good(it))?;
            let since = failed.start.max(fault.from);
            let end =
                of_region().filter(is_good).filter(|it| it.start > since).map(|it| it.end).min()?;
            Some(end.saturating_sub(fault.from))
        });
        self.0.push(recovered.flatten().max().unwrap_or_default());
    }

    /// The median and the longest.
    pub(super) fn cells(&self) -> [String; 2] {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let cell = |time: Option<&Duration>| time.map_or("-".to_owned(), |time| span(*time));
        [cell(sorted.get(sorted.len() / 2)), cell(sorted.last())]
    }
}

/// `0.12 s`
pub(super) fn span(time: Duration) -> String {
    if time.is_zero() { "0".to_owned() } else { format!("{:.2} s", time.as_secs_f64()) }
}

fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

fn many_seconds<S: Serializer>(times: &[Duration], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(times.iter().map(Duration::as_secs_f64))
}
