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
#[non_exhaustive]
pub struct Visit {
    /// Counts the visits from 1 on.
    pub number: u64,
    /// The request's method.
    pub method: Method,
    /// Without the query, which may hold personal data.
    pub path: String,
    /// The response's status.
    pub status: StatusCode,
    /// Where the request went.
    pub hops: Hops,
    /// The response's header `x-served-by`: which database served it.
    pub served_by: Option<String>,
    /// The time until the head of the response was ready.
    pub elapsed: Duration,
}

/// Where a request went.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Hops {
    /// Where the visitor stands. `None` for a request that the edge does not forward.
    pub place: Option<String>,
    /// The instance that responded first.
    pub instance: Option<String>,
    /// The instance that responded to the replay.
    pub replayed: Option<String>,
    /// Why the replay failed, if the request returned to the instance that asked for it.
    pub failed: Option<&'static str>,
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
pub(crate) struct AccessLog(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    last: VecDeque<Visit>,
    count: u64,
}

impl AccessLog {
    /// Keeps a visit, and gives it its number.
    pub(crate) fn record(&self, mut visit: Visit) {
        if let Some((end, _)) = visit.path.char_indices().nth(LONGEST_PATH) {
            visit.path.truncate(end);
            visit.path.push('…');
        }
        let mut kept = self.0.lock();
        kept.count += 1;
        visit.number = kept.count;
        kept.last.truncate(CAPACITY - 1);
        kept.last.push_front(visit);
    }

    /// The visits after the one with this number.
    pub(crate) fn since(&self, number: u64) -> Vec<Visit> {
        self.0.lock().last.iter().take_while(|visit| visit.number > number).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(path: String) -> Visit {
        let (method, status) = (Method::GET, StatusCode::OK);
        let (hops, elapsed) = (Hops::default(), Duration::ZERO);
        Visit { number: 0, method, path, status, hops, served_by: None, elapsed }
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
            log.record(visit(format!("/{at}")));
        }
        let entries = log.since(0);
        assert_eq!(entries.len(), CAPACITY);
        assert_eq!((entries[0].path.as_str(), entries[49].path.as_str()), ("/50", "/1"));
        let paths: Vec<_> = log.since(49).into_iter().map(|visit| visit.path).collect();
        assert_eq!(paths, ["/50", "/49"]);
    }

    #[test]
    fn long_paths_are_cut() {
        let log = AccessLog::default();
        log.record(visit("é".repeat(LONGEST_PATH)));
        log.record(visit("é".repeat(LONGEST_PATH + 1)));
        let paths: Vec<_> = log.since(0).into_iter().map(|entry| entry.path).collect();
        assert_eq!(paths, [format!("{}…", "é".repeat(LONGEST_PATH)), "é".repeat(LONGEST_PATH)]);
    }
}
