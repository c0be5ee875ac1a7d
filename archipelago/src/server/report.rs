//! What a server says of itself.

use std::time::{Duration, Instant};

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
    /// The age of the last commit that a replica has replayed.
    pub(crate) commit_age: CommitAge,
    /// When the request for the report was sent.
    pub(crate) asked: Instant,
    /// When the report had come.
    pub(crate) answered: Instant,
}

/// How old the last commit is that a replica has replayed, by the clocks of primary and replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommitAge {
    Unknown,
    Known(Duration),
    /// The commit seems to lie in the future: the replica's clock is this much behind the
    /// primary's, or more. Its clock then tells no age.
    Skewed(Duration),
}

/// By how much clocks may differ that NTP keeps. A commit that seems to lie in the future by less
/// counts as just made.
const CLOCK_TOLERANCE: f64 = 0.1;

impl CommitAge {
    /// Of the age in seconds that a replica has computed.
    pub(crate) fn from_seconds(seconds: Option<f64>) -> Self {
        match seconds {
            Some(seconds) if seconds < -CLOCK_TOLERANCE => {
                Duration::try_from_secs_f64(-seconds).map_or(Self::Unknown, Self::Skewed)
            }
            Some(seconds) => Duration::try_from_secs_f64(seconds.clamp(0.0, f64::MAX))
                .map_or(Self::Unknown, Self::Known),
            None => Self::Unknown,
        }
    }
}

#[cfg(test)]
impl ServerReport {
    /// A report of a settled server; a replica streams.
    pub(crate) fn for_test(is_replica: bool, timeline: u32, lsn: u64, asked: Instant) -> Self {
        let (is_settled, is_streaming) = (true, is_replica);
        let commit_age = CommitAge::Unknown;
        let (followers, answered) = (None, asked);
        Self {
            is_replica,
            timeline,
            lsn,
            is_settled,
            is_streaming,
            followers,
            commit_age,
            asked,
            answered,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_in_the_future_proves_a_wrong_clock() {
        let second = Duration::from_secs(1);
        let table = [
            (None, CommitAge::Unknown),
            (Some(1.0), CommitAge::Known(second)),
            (Some(0.0), CommitAge::Known(Duration::ZERO)),
            (Some(-0.05), CommitAge::Known(Duration::ZERO)),
            (Some(-1.0), CommitAge::Skewed(second)),
            (Some(f64::NAN), CommitAge::Unknown),
            (Some(f64::INFINITY), CommitAge::Unknown),
        ];
        for (seconds, expected) in table {
            assert_eq!(CommitAge::from_seconds(seconds), expected, "{seconds:?}");
        }
    }
}
