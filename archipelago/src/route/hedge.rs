//! How long a database's reads take of late, to tell when one takes so long that a second database is worth asking.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::pool::lock;

/// Reads that "of late" means: enough to tell a 99th percentile.
const WINDOW: u32 = 500;

/// Of so many reads one is sent twice, at the most.
const ONE_OF: u32 = 20;

/// The hedged reads of one database.
#[derive(Default)]
pub(crate) struct Hedge(Mutex<Recent>);

#[derive(Default)]
struct Recent {
    /// In microseconds. None before the first read: a region that hedges nothing needs no memory for it.
    times: Option<Histogram<u32>>,
    reads: u32,
    hedges: u32,
    late: Option<Duration>,
}

impl Hedge {
    /// After how long a read counts as late. None as long as nobody can tell.
    pub(crate) fn late(&self) -> Option<Duration> {
        self.recent().late
    }

    /// Whether one more read may be sent twice.
    pub(crate) fn allows_another(&self) -> bool {
        let mut recent = self.recent();
        let is_allowed = recent.hedges * ONE_OF < recent.reads;
        recent.hedges += u32::from(is_allowed);
        is_allowed
    }

    /// A read has taken so long.
    pub(crate) fn took(&self, time: Duration) {
        let mut recent = self.recent();
        recent.reads += 1;
        // Two digits are a precision that there is.
        let Some(mut times) = recent.times.take().or_else(|| Histogram::new(2).ok()) else {
            return;
        };
        times.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        if recent.reads == WINDOW {
            let late = Duration::from_micros(times.value_at_quantile(0.99));
            times.reset();
            *recent = Recent { late: Some(late), ..Recent::default() };
        }
        recent.times = Some(times);
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        lock(&self.0)
    }
}
