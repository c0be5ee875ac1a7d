//! What can go wrong between a caller and a database.

mod close_reason;
mod down_reason;
mod failure_kind;
mod no_primary;
mod not_served;
mod pool_record;
mod query_error;
mod server_errors;
mod session_record;
mod sqlstate;

use std::sync::Arc;
use std::time::Duration;

use diesel::result::Error as DieselError;

pub use self::close_reason::CloseReason;
pub use self::down_reason::DownReason;
pub(crate) use self::down_reason::with_causes;
pub(crate) use self::failure_kind::{Elsewhere, NextRead};
pub use self::no_primary::NoPrimary;
pub use self::not_served::{NotServed, Tried};
pub use self::pool_record::PoolCounts;
pub(crate) use self::pool_record::PoolRecord;
pub use self::query_error::QueryError;
pub use self::server_errors::ServerErrors;
pub(crate) use self::session_record::{End, ServerError, SessionRecord};

/// Why a query has no result. No variant holds a URL or a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection could be opened, or it was lost before a COMMIT was sent: nothing was written.
    #[error("the database of region `{region}` {}: {reason}", reason.verdict())]
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
    /// another database. Nothing was committed.
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
    /// No database could serve the read.
    #[error("no database can serve this read: {}", not_served::list(tried))]
    NotServed {
        /// Each database that was asked or passed over, in that order.
        tried: Vec<Tried>,
    },
    /// The repos were shut down.
    #[error("the pool of region `{region}` was shut down")]
    ShutDown {
        /// The region.
        region: &'static str,
    },
    /// The statement failed, or found no row where the caller asked for one.
    #[error(transparent)]
    Query(QueryError),
}

tokio::task_local! {
    /// The session on which a caller's own closure runs its statements.
    static SESSION: Arc<SessionRecord>;
}

/// Runs a caller's closure on the connection of this record: in it, `?` on one of Diesel's errors
/// finds the SQLSTATE.
pub(crate) async fn in_session<T>(session: Arc<SessionRecord>, work: impl Future<Output = T>) -> T {
    SESSION.scope(session, work).await
}

impl From<DieselError> for Error {
    /// In the closure of a transaction or a snapshot this finds the server's SQLSTATE. Elsewhere
    /// the connection of the error is not known, and [`code`](Error::code) tells only the eight
    /// that Diesel has a kind for.
    fn from(error: DieselError) -> Self {
        let mut error = Some(error);
        let known = SESSION
            .try_with(|session| error.take().map(|error| QueryError::new(error, session, true)));
        Self::Query(match (known, error) {
            (Ok(Some(known)), _) => known,
            (_, error) => error.unwrap_or(DieselError::NotFound).into(),
        })
    }
}

impl From<QueryError> for Error {
    fn from(error: QueryError) -> Self {
        Self::Query(error)
    }
}

impl Error {
    /// The SQLSTATE of the server's error, if the failure came with one: five characters.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Query(error) => error.code(),
            Self::Unreachable { reason, .. } => reason.code(),
            Self::NotServed { tried } => tried.iter().rev().find_map(|tried| match &tried.reason {
                NotServed::Failed(error) => error.code(),
                NotServed::Down(reason) => reason.code(),
                _ => None,
            }),
            _ => None,
        }
    }

    /// The constraint that the statement violates.
    #[must_use]
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Query(error) => error.constraint(),
            _ => None,
        }
    }

    /// Whether the query ran and found no row.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Query(error) if matches!(error.diesel(), DieselError::NotFound))
    }

    /// Whether the same query may succeed a little later: the database is down, slow, read-only, or
    /// closed the connection.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { reason: DownReason::Off { .. }, .. } => false,
            Self::Unreachable { .. }
            | Self::Busy { .. }
            | Self::Timeout { .. }
            | Self::NotPrimary { .. }
            | Self::NoPrimary { .. }
            | Self::NotServed { .. }
            | Self::ShutDown { .. } => true,
            Self::Query(error) => error.kind().is_passing(),
        }
    }

    /// How long to wait before the same request is worth another attempt. None where it would fail
    /// again, and where a write may have been committed: it may then happen twice.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let is_spilled = |tried: &Tried| matches!(tried.reason, NotServed::Spilled);
        let seconds = match self {
            Self::NotServed { tried } if tried.iter().any(is_spilled) => 1,
            _ => 5,
        };
        let is_worth_it = self.is_passing() && !self.is_uncertain();
        is_worth_it.then_some(Duration::from_secs(seconds))
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
            Self::Query(error) => error.kind().is_uncertain(),
            _ => false,
        }
    }

    /// What becomes of a read that failed so. `is_replica` tells where.
    pub(crate) fn next_read(&self, is_replica: bool) -> NextRead {
        match self {
            // It broke after the read was sent.
            Self::Unreachable { reason: DownReason::Broken { .. }, .. } => NextRead::ONCE,
            Self::Unreachable { .. }
            | Self::Timeout { .. }
            | Self::NotPrimary { .. }
            | Self::NoPrimary { .. }
            | Self::NotServed { .. } => NextRead::ANYWHERE,
            // An overload would spread.
            Self::Busy { .. } | Self::ShutDown { .. } => NextRead::FINAL,
            Self::Query(error) => error.kind().next_read(is_replica),
        }
    }

    /// How often a write that failed so is sent again, on a new connection.
    pub(crate) fn write_repeats(&self) -> usize {
        match self {
            Self::Query(error) => error.kind().write_repeats(),
            _ => 0,
        }
    }

    /// The same failure where the server undoes what it did: before COMMIT was sent.
    pub(crate) fn undone(self) -> Self {
        match self {
            Self::Timeout { region, waited } => DownReason::Silent { waited }.in_region(region),
            Self::Query(error) => Self::Query(error.undone()),
            error => error,
        }
    }

    /// The same failure where a new connection would not meet it.
    pub(crate) fn stale(self) -> Self {
        match self {
            Self::Query(error) => Self::Query(error.stale()),
            error => error,
        }
    }

    /// Names the statement, if it is the statement that is wrong.
    pub(crate) fn in_statement(mut self, sql: impl FnOnce() -> Option<String>) -> Self {
        if let Self::Query(error) = &mut self {
            error.name_statement(sql);
        }
        self
    }
}

impl From<Error> for NotServed {
    fn from(error: Error) -> Self {
        match error {
            Error::Unreachable { reason, .. } => Self::Down(reason),
            Error::Busy { waited, .. } => Self::Busy { waited },
            Error::Timeout { waited, .. } => Self::Silent { waited },
            Error::Query(error) => Self::Failed(error),
            Error::NotPrimary { .. } | Error::NoPrimary { .. } => {
                Self::Down(DownReason::NotPrimary)
            }
            Error::NotServed { .. } | Error::ShutDown { .. } => {
                Self::Down(DownReason::broken(&error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGION: &str = "ord";

    #[test]
    fn what_each_error_means() {
        let (region, waited) = (REGION, Duration::from_secs(1));
        let tried = |reason| Error::NotServed { tried: vec![Tried { region, reason }] };
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let silent = DownReason::Silent { waited };
        // The error; whether a write is uncertain; when it is worth another attempt; what becomes
        // of a read at a replica.
        for (error, is_uncertain, retry_after, next) in [
            (silent.clone().in_region(region), false, seconds(5), NextRead::ANYWHERE),
            (DownReason::broken(&"broke").in_region(region), false, seconds(5), NextRead::ONCE),
            (Error::Busy { region, waited }, false, seconds(5), NextRead::FINAL),
            (Error::Timeout { region, waited }, true, None, NextRead::ANYWHERE),
            (Error::NotPrimary { region }, false, seconds(5), NextRead::ANYWHERE),
            (tried(NotServed::Spilled), false, seconds(1), NextRead::ANYWHERE),
            (tried(NotServed::Lagging), false, seconds(5), NextRead::ANYWHERE),
            (Error::ShutDown { region }, false, seconds(5), NextRead::FINAL),
            (DieselError::NotFound.into(), false, None, NextRead::FINAL),
            (DieselError::RollbackTransaction.into(), false, None, NextRead::FINAL),
        ] {
            assert_eq!(error.is_uncertain(), is_uncertain, "{error}");
            assert_eq!(error.retry_after(), retry_after, "{error}");
            assert_eq!(error.is_passing(), is_uncertain || retry_after.is_some(), "{error}");
            assert_eq!(error.next_read(true), next, "{error}");
        }
    }

    #[test]
    fn an_error_names_each_region_that_was_tried() {
        let waited = Duration::from_secs(1);
        let tried = vec![
            Tried { region: "ord", reason: NotServed::Down(DownReason::Silent { waited }) },
            Tried { region: "nrt", reason: NotServed::Spilled },
        ];
        assert_eq!(
            Error::NotServed { tried }.to_string(),
            "no database can serve this read: `ord` cannot be reached (no answer within 1s); \
             `nrt` serves as many reads from elsewhere as it may"
        );
    }
}
