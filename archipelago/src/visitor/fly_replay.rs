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
pub(crate) const FLY_REGION: &str = "fly-region";

/// On a request that was replayed, or that came back because no instance there could take it. The
/// proxy replays a request once.
pub(crate) const REPLAY_MARKS: [&str; 2] = ["fly-replay-src", "fly-replay-failed"];

/// In bytes: the proxy keeps at most 1 MB of a request to send it again.
const LONGEST_BODY: u64 = 1_000_000;

/// A request that writes, as far as the decision needs it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WriteRequest<'a> {
    /// The region that this instance runs in; empty where none is set.
    pub(crate) here: &'a str,
    /// The region of the primary, as far as this process knows.
    pub(crate) primary: &'a str,
    /// Whether the request came through Fly's proxy.
    pub(crate) is_proxied: bool,
    pub(crate) was_replayed: bool,
    /// In bytes. None if the head of the request does not tell.
    pub(crate) body_length: Option<u64>,
}

/// Whether the proxy should run this request in the primary's region. Otherwise this instance
/// writes to the primary over the long line.
pub(crate) fn should_replay(writes: Writes, write: WriteRequest<'_>) -> bool {
    let WriteRequest { here, primary, is_proxied, was_replayed, body_length } = write;
    writes == Writes::Replay
        && !here.is_empty()
        && here != primary
        && is_proxied
        && !was_replayed
        && body_length.is_some_and(|length| length <= LONGEST_BODY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_writes_are_replayed() {
        let afar = WriteRequest {
            here: "syd",
            primary: "nrt",
            is_proxied: true,
            was_replayed: false,
            body_length: Some(0),
        };
        let table = [
            ("a write from afar", Writes::Replay, afar, true),
            ("a region file that says direct", Writes::Direct, afar, false),
            ("at the primary", Writes::Replay, WriteRequest { here: "nrt", ..afar }, false),
            ("on a laptop", Writes::Replay, WriteRequest { here: "", ..afar }, false),
            ("without a proxy", Writes::Replay, WriteRequest { is_proxied: false, ..afar }, false),
            ("replayed before", Writes::Replay, WriteRequest { was_replayed: true, ..afar }, false),
            (
                "of unknown length",
                Writes::Replay,
                WriteRequest { body_length: None, ..afar },
                false,
            ),
            (
                "as long as the proxy keeps",
                Writes::Replay,
                WriteRequest { body_length: Some(LONGEST_BODY), ..afar },
                true,
            ),
            (
                "one byte longer",
                Writes::Replay,
                WriteRequest { body_length: Some(LONGEST_BODY + 1), ..afar },
                false,
            ),
        ];
        for (story, writes, write, expected) in table {
            assert_eq!(should_replay(writes, write), expected, "{story}");
        }
    }
}
