//! Why a database did not serve a read.

use std::fmt;
use std::time::Duration;

use super::down_reason::DownReason;
use super::query_error::QueryError;

/// A database that did not serve a read, and why.
#[derive(Debug)]
#[non_exhaustive]
pub struct Tried {
    /// Its region.
    pub region: &'static str,
    /// Why it did not serve the read.
    pub reason: NotServed,
}

impl Tried {
    /// A database of `region` that did not serve a read.
    #[must_use]
    pub const fn new(region: &'static str, reason: NotServed) -> Self {
        Self { region, reason }
    }
}

/// Why a database did not serve a read. The texts are for logs; programs match on the variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotServed {
    /// It is down, or no connection to it could be opened.
    #[error("{} ({_0})", _0.verdict())]
    Down(DownReason),
    /// It is known to be further behind, or may be further behind, than the read allows.
    #[error("is further behind than this read allows")]
    Lagging,
    /// It does not show yet what the read needs.
    #[error("has not replayed what this read needs")]
    NotReplayed,
    /// It is not the primary, where the read wants it, or belongs to another history.
    #[error("is not the primary, or belongs to another history")]
    Unfit,
    /// It is the primary, and serves as many reads from elsewhere as `[routing] max_spill` allows.
    #[error("serves as many reads from elsewhere as it may")]
    Spilled,
    /// No connection came free in time.
    #[error("has had no connection free for {waited:?}")]
    Busy {
        /// How long the caller waited.
        waited: Duration,
    },
    /// No answer came in time to the read.
    #[error("did not answer within {waited:?}")]
    Silent {
        /// How long the caller waited.
        waited: Duration,
    },
    /// The read was sent, and failed.
    #[error("failed ({_0})")]
    Failed(#[source] QueryError),
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { region, reason } = self;
        write!(f, "`{region}` {reason}")
    }
}

/// The list as the text of an error.
pub(super) fn list(tried: &[Tried]) -> impl fmt::Display {
    tried.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
