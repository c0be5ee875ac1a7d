//! What a server says of itself.

use std::time::{Instant, SystemTime};

use super::log_layout::LogLayout;

/// Which server it is. Does not change while the server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServerIdentity {
    /// The system identifier, which a primary and its replicas share. 0 where the login role may
    /// not see it.
    pub(crate) system: u64,
    /// When the server was started, in microseconds of its own clock.
    pub(crate) started: i64,
    /// Whether the login role may see on which timeline a replica is (`pg_read_all_stats`).
    pub(crate) sees_timelines: bool,
    pub(crate) layout: LogLayout,
}

/// What a server reported at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerReport {
    pub(crate) is_replica: bool,
    /// The timeline of a replica may be too low for some minutes after a promotion.
    pub(crate) timeline: u32,
    /// The server shows every commit up to here: what a replica has replayed, and what a primary
    /// has inserted.
    pub(crate) lsn: u64,
    /// Whether no record behind `lsn` can have been shown. False while a replica may be replaying
    /// one: it shows the commit of a record before its position passes it.
    pub(crate) is_settled: bool,
    /// Whether a replica receives its primary's log now.
    pub(crate) is_streaming: bool,
    /// How many standbys stream from it. None where the login role may not see that.
    pub(crate) followers: Option<u32>,
    /// Its clock, in microseconds since 1970, at some moment between question and answer.
    pub(crate) clock: i64,
    /// This process's clock when the answer had come.
    pub(crate) own_clock: i64,
    /// When the last commit was made that a replica has replayed, by the clock of the primary that
    /// made it.
    pub(crate) committed: Option<i64>,
    /// When the request for the report was sent.
    pub(crate) asked: Instant,
    /// When the report had come.
    pub(crate) answered: Instant,
}

impl ServerReport {
    /// Whether it is a replica without a primary. One with an archive may replay all the same.
    pub(crate) fn receives_nothing(&self) -> bool {
        self.is_replica && !self.is_streaming
    }
}

/// This process's clock, in microseconds since 1970. 0 where it is before that.
pub(crate) fn own_clock() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or_default()
}

#[cfg(test)]
impl ServerReport {
    /// A report of a settled server; a replica streams.
    pub(crate) fn for_test(is_replica: bool, timeline: u32, lsn: u64, asked: Instant) -> Self {
        let (is_settled, is_streaming) = (true, is_replica);
        let (followers, answered) = (None, asked);
        Self {
            is_replica,
            timeline,
            lsn,
            is_settled,
            is_streaming,
            followers,
            clock: 0,
            own_clock: 0,
            committed: None,
            asked,
            answered,
        }
    }
}
