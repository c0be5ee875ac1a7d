//! `QueryError`: the failure of a statement, with the SQLSTATE that Diesel drops.

use std::fmt;

use diesel::result::{DatabaseErrorKind, Error as DieselError};

use super::failure_kind::FailureKind;
use super::session_record::{End, ServerError, SessionRecord};
use super::sqlstate::{Sqlstate, kind_of};

/// A statement failed. Diesel's error is its [`source`](std::error::Error::source).
///
/// The text may repeat what the server says to its operators: it is for logs, not for visitors.
pub struct QueryError(Box<Inner>);

struct Inner {
    source: DieselError,
    code: Option<Sqlstate>,
    kind: FailureKind,
    /// The statement's SQL, where it is the mistake.
    sql: Option<String>,
}

impl QueryError {
    /// The failure of a statement on the connection of this record. `was_sent` is false where no
    /// byte has left since the statement was begun.
    pub(crate) fn new(source: DieselError, session: &SessionRecord, was_sent: bool) -> Self {
        let (code, kind) = match &source {
            DieselError::DatabaseError(kind, _) if is_without_answer(*kind) => {
                let last = session.last_words();
                (last.map(|error| error.code), kind_of_silence(session, last, was_sent))
            }
            DieselError::DatabaseError(kind, error) => match session.find(&**error) {
                Some(error) => (Some(error.code), kind_of_error(error, session.is_read)),
                None => by_kind(*kind, session.is_read),
            },
            source => (None, kind_of_other(source)),
        };
        Self(Box::new(Inner { source, code, kind, sql: None }))
    }

    /// The SQLSTATE of the server's error: see [`Error::code`](crate::Error::code).
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_ref().map(Sqlstate::as_str)
    }

    /// The constraint that the statement violates: see
    /// [`Error::constraint`](crate::Error::constraint).
    #[must_use]
    pub fn constraint(&self) -> Option<&str> {
        match &self.0.source {
            DieselError::DatabaseError(_, error) => error.constraint_name(),
            _ => None,
        }
    }

    /// Diesel's error.
    #[must_use]
    pub fn diesel(&self) -> &DieselError {
        &self.0.source
    }

    /// Diesel's error.
    #[must_use]
    pub fn into_diesel(self) -> DieselError {
        self.0.source
    }

    pub(super) fn kind(&self) -> FailureKind {
        self.0.kind
    }

    /// Names the statement, if it is the statement that is wrong.
    pub(super) fn name_statement(&mut self, sql: impl FnOnce() -> Option<String>) {
        if self.0.kind == FailureKind::WriteInRead && self.0.sql.is_none() {
            self.0.sql = sql();
        }
    }
}

impl From<DieselError> for QueryError {
    /// Of a connection that is not known: the SQLSTATE is known for eight of Diesel's kinds.
    fn from(source: DieselError) -> Self {
        let (code, kind) = match &source {
            DieselError::DatabaseError(kind, _) => by_kind(*kind, false),
            source => (None, kind_of_other(source)),
        };
        Self(Box::new(Inner { source, code, kind, sql: None }))
    }
}

/// Whether the error comes from the driver, and not from the server.
fn is_without_answer(kind: DatabaseErrorKind) -> bool {
    matches!(kind, DatabaseErrorKind::UnableToSendCommand | DatabaseErrorKind::ClosedConnection)
}

fn kind_of_silence(
    session: &SessionRecord,
    last: Option<ServerError>,
    was_sent: bool,
) -> FailureKind {
    match session.end() {
        // The driver could not encode the parameters, or could not read the answer.
        End::None => FailureKind::Unreadable,
        _ if !was_sent => FailureKind::NotRun,
        End::Vanished => FailureKind::Vanished,
        End::Closed => {
            last.map_or(FailureKind::Broken, |error| kind_of_error(error, session.is_read))
        }
    }
}

fn kind_of_error(error: ServerError, is_read: bool) -> FailureKind {
    kind_of(error.code.as_str(), error.is_fatal, error.is_stale, is_read)
}

/// By Diesel's own kinds, where no more is known.
fn by_kind(kind: DatabaseErrorKind, is_read: bool) -> (Option<Sqlstate>, FailureKind) {
    let code = match kind {
        DatabaseErrorKind::UniqueViolation => "23505",
        DatabaseErrorKind::ForeignKeyViolation => "23503",
        DatabaseErrorKind::RestrictViolation => "23001",
        DatabaseErrorKind::ExclusionViolation => "23P01",
        DatabaseErrorKind::NotNullViolation => "23502",
        DatabaseErrorKind::CheckViolation => "23514",
        DatabaseErrorKind::SerializationFailure => "40001",
        DatabaseErrorKind::ReadOnlyTransaction => "25006",
        kind if is_without_answer(kind) => return (None, FailureKind::Broken),
        _ => return (None, FailureKind::Refused),
    };
    (Sqlstate::new(code.as_bytes()), kind_of(code, false, false, is_read))
}

/// An error of Diesel's own.
fn kind_of_other(source: &DieselError) -> FailureKind {
    match source {
        DieselError::NotFound => FailureKind::NotFound,
        DieselError::DeserializationError(_) | DieselError::RollbackErrorOnCommit { .. } => {
            FailureKind::Unreadable
        }
        _ => FailureKind::Refused,
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { source, code, sql, .. } = &*self.0;
        write!(f, "{source}")?;
        if let Some(code) = code {
            write!(f, " ({})", code.as_str())?;
        }
        if let Some(sql) = sql {
            write!(f, ": this read writes: {sql}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { source, code, kind, sql } = &*self.0;
        f.debug_struct("QueryError")
            .field("source", source)
            .field("code", code)
            .field("kind", kind)
            .field("sql", sql)
            .finish()
    }
}

impl std::error::Error for QueryError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0.source)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

    use super::*;

    const MESSAGE: &str = "terminating connection due to administrator command";

    fn response(code: &str, severity: &str, message: &str) -> ServerError {
        let body = format!("SFATAL\0V{severity}\0C{code}\0M{message}\0Rroutine\0\0");
        ServerError::parse(body.as_bytes()).unwrap()
    }

    fn session(is_read: bool) -> SessionRecord {
        SessionRecord::new(is_read, &Arc::new(AtomicU64::new(0)))
    }

    fn diesel(kind: DatabaseErrorKind, message: &str) -> DieselError {
        DieselError::DatabaseError(kind, Box::new(message.to_owned()))
    }

    #[test]
    fn an_error_is_found_by_all_its_texts() {
        let session = session(false);
        session.record_error(response("57014", "ERROR", "stopp"));
        session.record_error(response("22012", "ERROR", "geteilt"));
        let error =
            |text| QueryError::new(diesel(DatabaseErrorKind::Unknown, text), &session, true);
        assert_eq!(error("stopp").code(), Some("57014"));
        assert_eq!(error("geteilt").code(), Some("22012"));
        assert_eq!(error("stop").code(), None);
    }

    #[test]
    fn what_a_broken_connection_means() {
        let closed = || diesel(DatabaseErrorKind::UnableToSendCommand, "connection closed");
        let fatal = |code| Some(response(code, "FATAL", MESSAGE));
        // How the connection ended, whether the statement was sent, and what follows.
        for (last, end, was_sent, code, kind) in [
            (None, End::None, true, None, FailureKind::Unreadable),
            (None, End::Closed, false, None, FailureKind::NotRun),
            (None, End::Closed, true, None, FailureKind::Broken),
            (None, End::Vanished, true, None, FailureKind::Vanished),
            (fatal("57P01"), End::Closed, true, Some("57P01"), FailureKind::Broken),
            (fatal("57P01"), End::Closed, false, Some("57P01"), FailureKind::NotRun),
            (fatal("57P05"), End::Closed, true, Some("57P05"), FailureKind::NotRun),
            (fatal("25P03"), End::Closed, true, Some("25P03"), FailureKind::Passing),
        ] {
            let session = session(true);
            last.into_iter().for_each(|error| session.record_error(error));
            session.record_end(end);
            let error = QueryError::new(closed(), &session, was_sent);
            assert_eq!((error.code(), error.kind()), (code, kind), "{error:?}");
        }
    }

    #[test]
    fn only_a_read_that_writes_names_its_statement() {
        for (is_read, names) in [(true, true), (false, false)] {
            let session = session(is_read);
            session.record_error(response("25006", "ERROR", "no"));
            let mut error = QueryError::new(
                diesel(DatabaseErrorKind::ReadOnlyTransaction, "no"),
                &session,
                true,
            );
            error.name_statement(|| Some("SELECT nextval($1)".to_owned()));
            assert_eq!(error.to_string().contains("nextval"), names, "{error}");
        }
    }

    #[test]
    fn a_stale_plan_and_idleness_retire_the_pool_once() {
        let generation = Arc::new(AtomicU64::new(0));
        let new = || SessionRecord::new(true, &generation);
        let (one, other) = (new(), new());
        one.record_error(response("57P05", "FATAL", "idle"));
        let younger = new();
        other.record_error(response("57P05", "FATAL", "idle"));
        assert!(one.is_retired() && other.is_retired() && !younger.is_retired());
    }
}
