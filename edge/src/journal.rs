//! The last requests, for the edge's own page.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hyper::{Method, StatusCode};

/// So many are remembered.
const LENGTH: usize = 50;

/// In characters; what is left of a longer path.
const LONGEST_PATH: usize = 80;

/// What became of one request. The path is without its query, which may hold what is nobody's business.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) status: StatusCode,
    pub(crate) trace: Trace,
    pub(crate) took: Duration,
}

/// Where a request has been.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trace {
    /// Where the visitor stands; none as long as nobody is asked on a visitor's behalf.
    pub(crate) place: Option<String>,
    /// Who answered first.
    pub(crate) instance: Option<String>,
    /// Who answered the replay.
    pub(crate) replayed: Option<String>,
    /// Why the replay went back to where it came from.
    pub(crate) failed: Option<&'static str>,
}

impl Trace {
    /// As in the header `x-edge`; `took` is the time until the answer began.
    pub(crate) fn header(&self, took: Duration) -> String {
        let fields = [
            ("from", self.place.as_deref()),
            ("instance", self.instance.as_deref()),
            ("replayed", self.replayed.as_deref()),
            ("failed", self.failed),
        ];
        let written =
            fields.iter().filter_map(|(name, value)| Some(format!("{name}={}; ", (*value)?)));
        format!("{}ms={}", written.collect::<String>(), took.as_millis())
    }
}

/// The last requests, the newest first.
#[derive(Debug, Default)]
pub(crate) struct Journal(Mutex<VecDeque<Entry>>);

impl Journal {
    pub(crate) fn write(&self, mut entry: Entry) {
        if let Some((end, _)) = entry.path.char_indices().nth(LONGEST_PATH) {
            entry.path.truncate(end);
            entry.path.push('…');
        }
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.truncate(LENGTH - 1);
        entries.push_front(entry);
    }

    pub(crate) fn read(&self) -> Vec<Entry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}
