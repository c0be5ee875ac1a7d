//! What can go wrong between a caller and a database.

mod down_reason;
mod no_primary;

use std::time::Duration;

use diesel::result::{DatabaseErrorKind, Error as DieselError};

pub use self::down_reason::DownReason;
pub use self::no_primary::NoPrimary;

/// Why a query has no result. No variant holds a URL or a password.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection could be opened.
    #[error("the database of region `{region}` cannot be reached: {reason}")]
    Unreachable {
        /// The region.
        region: &'static str,
        /// Why the database cannot be reached.
        reason: DownReason,
    },
    /// Every connection of the pool was in use, or being opened, for as long as a caller may wait.
    #[error("no connection to the database of region `{region}` came free within {waited:?}")]
    Busy {
        /// The region.
        region: &'static str,
        /// [`Timeouts::checkout`](crate::Timeouts::checkout).
        waited: Duration,
    },
    /// No answer came in time to a statement that was sent, or to a read that waited for a
    /// connection. A write may or may not have happened.
    #[error("the database of region `{region}` did not answer within {waited:?}")]
    Timeout {
        /// The region.
        region: &'static str,
        /// How long the caller waited.
        waited: Duration,
    },
    /// The connection led to a replica where a write was wanted, to a superseded primary, or to
    /// another database. Nothing was sent.
    #[error("the database of region `{region}` is not the primary")]
    NotPrimary {
        /// The region.
        region: &'static str,
    },
    /// No database takes the writes: none can, or nothing tells which is the primary. Nothing was
    /// sent.
    #[error("no database takes writes: {reason}")]
    NoPrimary {
        /// Why.
        reason: NoPrimary,
    },
    /// No database that can be reached is fresh enough for the read.
    #[error(
        "no database that can be reached is fresh enough for this read; \
         `{region}` was the last one asked"
    )]
    NotFresh {
        /// The region.
        region: &'static str,
    },
    /// The primary already serves as many reads from elsewhere as `[routing] max_spill` allows.
    #[error(
        "too many reads have left region `{region}` for the primary; \
         its own database is down, or behind"
    )]
    Spilled {
        /// The region that the reads come from.
        region: &'static str,
    },
    /// The repos were shut down.
    #[error("the pool of region `{region}` was shut down")]
    ShutDown {
        /// The region.
        region: &'static str,
    },
    /// The database answered with an error, or with no row where the caller asked for one.
    #[error(transparent)]
    Query(#[from] DieselError),
}

impl Error {
    /// Whether the query ran and found no row.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Query(DieselError::NotFound))
    }

    /// Whether the same query may succeed a little later: the database is down, slow, read-only, or
    /// closed the connection.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Busy { .. }
            | Self::Timeout { .. }
            | Self::NotPrimary { .. }
            | Self::NoPrimary { .. }
            | Self::NotFresh { .. }
            | Self::Spilled { .. }
            | Self::ShutDown { .. } => true,
            Self::Query(DieselError::DatabaseError(kind, message)) => match kind {
                DatabaseErrorKind::ReadOnlyTransaction
                | DatabaseErrorKind::SerializationFailure
                | DatabaseErrorKind::UnableToSendCommand
                | DatabaseErrorKind::ClosedConnection => true,
                // Diesel drops the SQLSTATE of 57014, 57P01 and 57P03 and keeps the server's words.
                // An error in another language than English counts as permanent.
                _ => [
                    "terminating connection",
                    "canceling statement",
                    "connection closed",
                    "the database system is",
                ]
                .iter()
                .any(|words| message.message().contains(words)),
            },
            Self::Query(_) => false,
        }
    }

    /// How long to wait before the same request is worth another attempt. None where it would fail
    /// again.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let seconds = match self {
            Self::Spilled { .. } => 1,
            _ => 5,
        };
        self.is_passing().then_some(Duration::from_secs(seconds))
    }

    /// Whether a read that failed so is sent to the next database. A slow statement would take as
    /// long there, and an overload would spread.
    pub(crate) fn is_retried_elsewhere(&self) -> bool {
        let is_slow = matches!(
            self,
            Self::Query(DieselError::DatabaseError(_, message))
                if message.message().contains("statement timeout")
        );
        self.is_passing() && !is_slow && !matches!(self, Self::Busy { .. } | Self::ShutDown { .. })
    }

    /// Whether a write that failed so is worth an election: the leader is silent, or another one
    /// leads. A server that refuses a connection still leads.
    pub(crate) fn asks_for_election(&self) -> bool {
        match self {
            Self::NotPrimary { .. } | Self::NoPrimary { .. } => true,
            Self::Unreachable { reason, .. } => reason.is_silence(),
            _ => false,
        }
    }

    /// Whether a write that failed so may have happened all the same: it was sent, and its outcome
    /// is unknown.
    #[must_use]
    pub fn is_uncertain(&self) -> bool {
        match self {
            Self::Timeout { .. } => true,
            Self::Query(DieselError::DatabaseError(kind, _)) => {
                !matches!(kind, DatabaseErrorKind::ReadOnlyTransaction) && self.is_passing()
            }
            _ => false,
        }
    }
}
