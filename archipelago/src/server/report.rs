//! What a server says of itself.

use std::time::{Duration, Instant};

/// Which server it is. Does not change while the server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServerIdentity {
    /// The system identifier, which a primary and its replicas share.
    pub(crate) system: u64,
    /// When the server was started, in microseconds of its own clock.
    pub(crate) started: i64,
    /// Whether the login role may see on which timeline a replica is (`pg_read_all_stats`).
    pub(crate) sees_timelines: bool,
}

/// What a server reported at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerReport {
    pub(crate) is_replica: bool,
    /// The timeline of a replica may be too low for some minutes after a promotion.
    pub(crate) timeline: u32,
    /// The server shows every commit up to here.
    pub(crate) lsn: u64,
    /// The age of the last commit that a replica has replayed.
    pub(crate) commit_age: Option<Duration>,
    /// When the request for the report was sent.
    pub(crate) asked: Instant,
}
