//! The access log: the last requests, kept in memory for the edge's own page.

use std::collections::VecDeque;
use std::time::Duration;

use hyper::{Method, StatusCode};
use parking_lot::Mutex;

/// How many requests are kept.
const CAPACITY: usize = 50;

/// How many characters of a path are kept.
const LONGEST_PATH: usize = 80;

/// One request and its response.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) method: Method,
    /// Without the query, which may hold personal data.
    pub(crate) path: String,
    pub(crate) status: StatusCode,
    pub(crate) hops: Hops,
    /// The time until the head of the response was ready.
    pub(crate) elapsed: Duration,
}

/// Where a request went.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hops {
    /// Where the visitor stands. `None` for a request that the edge does not forward.
    pub(crate) place: Option<String>,
    /// The instance that responded first.
    pub(crate) instance: Option<String>,
    /// The instance that responded to the replay.
    pub(crate) replayed: Option<String>,
    /// Why the replay failed, if the request returned to the instance that asked for it.
    pub(crate) failed: Option<&'static str>,
}

impl Hops {
    /// The value of the header `x-edge`.
    pub(crate) fn header(&self, elapsed: Duration) -> String {
        let fields = [
            ("from", self.place.as_deref()),
            ("instance", self.instance.as_deref()),
            ("replayed", self.replayed.as_deref()),
            ("failed", self.failed),
        ];
        let fields =
            fields.iter().filter_map(|(name, value)| Some(format!("{name}={}; ", (*value)?)));
        format!("{}ms={}", fields.collect::<String>(), elapsed.as_millis())
    }
}

/// The last requests, the newest first.
#[derive(Debug, Default)]
pub(crate) struct AccessLog(Mutex<VecDeque<Entry>>);

impl AccessLog {
    pub(crate) fn record(&self, mut entry: Entry) {
        if let Some((end, _)) = entry.path.char_indices().nth(LONGEST_PATH) {
            entry.path.truncate(end);
            entry.path.push('…');
        }
        let mut entries = self.0.lock();
        entries.truncate(CAPACITY - 1);
        entries.push_front(entry);
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.0.lock().iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: String) -> Entry {
        let (method, status) = (Method::GET, StatusCode::OK);
        Entry { method, path, status, hops: Hops::default(), elapsed: Duration::ZERO }
    }

    #[test]
    fn the_header_names_each_hop() {
        let text = |text: &str| Some(text.to_owned());
        let cases = [
            (text("syd"), None, None, None, "from=syd; ms=137"),
            (text("syd"), text("syd"), None, None, "from=syd; instance=syd; ms=137"),
            (
                text("cdg"),
                text("ord"),
                text("nrt"),
                None,
                "from=cdg; instance=ord; replayed=nrt; ms=137",
            ),
            (
                text("syd"),
                text("syd"),
                None,
                Some("timeout"),
                "from=syd; instance=syd; failed=timeout; ms=137",
            ),
        ];
        for (place, instance, replayed, failed, header) in cases {
            let hops = Hops { place, instance, replayed, failed };
            assert_eq!(hops.header(Duration::from_millis(137)), header);
        }
    }

    #[test]
    fn the_newest_requests_are_kept() {
        let log = AccessLog::default();
        for at in 0..=CAPACITY {
            log.record(entry(format!("/{at}")));
        }
        let entries = log.entries();
        assert_eq!(entries.len(), CAPACITY);
        assert_eq!((entries[0].path.as_str(), entries[49].path.as_str()), ("/50", "/1"));
    }

    #[test]
    fn long_paths_are_cut() {
        let log = AccessLog::default();
        log.record(entry("é".repeat(LONGEST_PATH)));
        log.record(entry("é".repeat(LONGEST_PATH + 1)));
        let paths: Vec<_> = log.entries().into_iter().map(|entry| entry.path).collect();
        assert_eq!(paths, [format!("{}…", "é".repeat(LONGEST_PATH)), "é".repeat(LONGEST_PATH)]);
    }
}
