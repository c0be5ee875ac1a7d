//! Which writes a proxy runs again in the primary's region.
//!
//! The proxy's part is Fly.io's `fly-replay`:
//! <https://fly.io/docs/networking/dynamic-request-routing/>.

use crate::region::Writes;

/// The header of an answer that the proxy keeps for itself: the proxy runs the request again in the
/// region that the header names, and the visitor gets the answer from there. Middleware that
/// replaces or counts failures must recognise such an answer by it: its status is 409, and nothing
/// has failed.
pub const FLY_REPLAY: &str = "fly-replay";

/// On every request that comes through Fly's proxy: the edge that took it. That is not where this
/// instance runs.
const FLY_REGION: &str = "fly-region";

/// On a request that was replayed, or that came back because no instance there could take it. The
/// proxy replays a request once.
const REPLAY_MARKS: [&str; 2] = ["fly-replay-src", "fly-replay-failed"];

/// In bytes: the proxy keeps at most 1 MB of a request to send it again.
pub(super) const LONGEST_BODY: u64 = 1_000_000;

/// The request comes back if the proxy gets no connection to any instance in the primary's region;
/// then nothing has run there. The timeout lets a stopped instance start. Without it the visitor
/// would wait for the proxy's own timeout, which is longer.
const FALLBACK: &str = "timeout=5s;fallback=prefer_self";

/// What the head of a request that writes says of how it came. Its method does not matter: a handler
/// that writes on GET belongs to the primary's region as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteRequest {
    is_proxied: bool,
    was_replayed: bool,
    /// In bytes. None if the head of the request does not tell.
    body_length: Option<u64>,
}

impl WriteRequest {
    /// Reads the head of a request: `header` looks up a value by its name in lower case. HTTP/2 and
    /// later may send a body without saying so, as `is_http2` tells.
    pub fn new<'h>(header: impl Fn(&str) -> Option<&'h str>, is_http2: bool) -> Self {
        let body_length = match header("content-length") {
            Some(length) => length.trim().parse().ok(),
            None if is_http2 || header("transfer-encoding").is_some() => None,
            None => Some(0),
        };
        Self {
            is_proxied: header(FLY_REGION).is_some(),
            was_replayed: REPLAY_MARKS.iter().any(|name| header(name).is_some()),
            body_length,
        }
    }

    /// Whether the proxy should run this request in the region of the primary, and not `here`, where
    /// it came; empty where no region is set. Otherwise this instance writes to the primary over the
    /// long line.
    pub(crate) fn replay(
        self,
        writes: Writes,
        here: &str,
        primary: &'static str,
    ) -> Option<Replay> {
        let Self { is_proxied, was_replayed, body_length } = self;
        let is_elsewhere = !here.is_empty() && here != primary;
        let is_possible =
            is_proxied && !was_replayed && body_length.is_some_and(|it| it <= LONGEST_BODY);
        let should = writes == Writes::Replay && is_elsewhere && is_possible;
        should.then_some(Replay { region: primary })
    }
}

/// The answer that has the proxy run a request in the primary's region. Its body is its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "writes run in {region}: the proxy in front of this instance has to run the request again \
     there, as fly-replay says"
)]
pub struct Replay {
    region: &'static str,
}

impl Replay {
    /// The region that takes the writes.
    #[must_use]
    pub fn region(self) -> &'static str {
        self.region
    }

    /// The header of the answer.
    #[must_use]
    pub fn header(self) -> (&'static str, String) {
        (FLY_REPLAY, format!("region={};{FALLBACK}", self.region))
    }

    /// The status of the answer, 409. Not a success: the answer may reach a visitor where no proxy
    /// obeys it.
    #[must_use]
    pub fn status(self) -> u16 {
        409
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_writes_are_replayed() {
        let afar = WriteRequest { is_proxied: true, was_replayed: false, body_length: Some(0) };
        let long = |length| WriteRequest { body_length: length, ..afar };
        let (replay, direct) = (Writes::Replay, Writes::Direct);
        let table = [
            ("a write from afar", replay, "syd", afar, true),
            ("a region file that says direct", direct, "syd", afar, false),
            ("at the primary", replay, "nrt", afar, false),
            ("on a laptop", replay, "", afar, false),
            ("without a proxy", replay, "syd", WriteRequest { is_proxied: false, ..afar }, false),
            ("replayed before", replay, "syd", WriteRequest { was_replayed: true, ..afar }, false),
            ("of unknown length", replay, "syd", long(None), false),
            ("as long as the proxy keeps", replay, "syd", long(Some(LONGEST_BODY)), true),
            ("one byte longer", replay, "syd", long(Some(LONGEST_BODY + 1)), false),
        ];
        for (story, writes, here, request, expected) in table {
            let replay = request.replay(writes, here, "nrt");
            assert_eq!(replay, expected.then_some(Replay { region: "nrt" }), "{story}");
        }
    }

    #[test]
    fn what_the_head_of_a_request_says() {
        let read = |headers: &[(&str, &'static str)], is_http2| {
            let value = |name: &str| headers.iter().find(|header| header.0 == name).map(|it| it.1);
            let request = WriteRequest::new(value, is_http2);
            (request.is_proxied, request.was_replayed, request.body_length)
        };
        assert_eq!(read(&[], false), (false, false, Some(0)), "no body");
        assert_eq!(read(&[], true), (false, false, None));
        assert_eq!(read(&[("content-length", " 7 ")], true), (false, false, Some(7)));
        assert_eq!(read(&[("content-length", "x")], false), (false, false, None));
        assert_eq!(read(&[("transfer-encoding", "chunked")], false), (false, false, None));
        assert_eq!(read(&[(FLY_REGION, "syd")], false), (true, false, Some(0)));
        for mark in REPLAY_MARKS {
            assert_eq!(read(&[(mark, "")], false), (false, true, Some(0)), "{mark}");
        }
    }
}
