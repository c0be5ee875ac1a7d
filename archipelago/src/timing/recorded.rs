//! The histograms of one region's database. Each is found once by its name and labels: that takes ten
//! times as long as to record a time.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use metrics::{Histogram, histogram};
use tokio::time;

use crate::region::{Reason, Role};
use crate::settings::Access;

/// How long reads and writes take, from their call to their answer.
pub(crate) struct QueryTimes {
    region: &'static str,
    /// By role and reason. One that is never needed makes no series.
    reads: [[OnceLock<Histogram>; Reason::ALL.len()]; 2],
    writes: OnceLock<Histogram>,
}

impl QueryTimes {
    pub(crate) fn new(region: &'static str) -> Self {
        Self { region, reads: Default::default(), writes: OnceLock::new() }
    }

    /// Records a read that was called then, and has its answer.
    pub(crate) fn record_read(&self, role: Role, reason: Reason, begun: Instant) {
        let region = self.region;
        let histogram = self.reads[usize::from(role == Role::Replica)][reason as usize]
            .get_or_init(|| {
                let (role, reason) = (role.as_str(), reason.as_str());
                histogram!("archipelago_read_seconds", "region" => region, "role" => role, "reason" => reason)
            });
        histogram.record(begun.elapsed());
    }

    /// Records a write that was called then, and has committed.
    pub(crate) fn record_write(&self, begun: Instant) {
        let region = self.region;
        let histogram =
            self.writes.get_or_init(|| histogram!("archipelago_write_seconds", "region" => region));
        histogram.record(begun.elapsed());
    }
}

/// How long callers wait for a connection of one pool, whether or not they get it.
#[derive(Clone)]
pub(crate) struct CheckoutTimes(Histogram);

impl CheckoutTimes {
    pub(crate) fn new(region: &'static str, access: Access) -> Self {
        let access = access.as_str();
        Self(histogram!("archipelago_checkout_seconds", "region" => region, "access" => access))
    }

    /// Records the end of a wait that began then; None had a connection at once.
    pub(crate) fn record(&self, since: Option<time::Instant>) {
        self.0.record(since.map_or(Duration::ZERO, |since| since.elapsed()));
    }

    /// A wait that began then, and ends when this is dropped.
    pub(crate) fn begin(&self, since: time::Instant) -> Wait<'_> {
        Wait { times: self, since }
    }
}

/// A wait for a connection. It is recorded when this is dropped.
pub(crate) struct Wait<'a> {
    times: &'a CheckoutTimes,
    since: time::Instant,
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.times.record(Some(self.since));
    }
}
