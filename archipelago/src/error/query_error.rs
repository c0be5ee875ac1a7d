//! `QueryError`: the failure of a statement, with the SQLSTATE that Diesel drops.

use std::fmt;

use diesel::result::{DatabaseErrorKind, Error as DieselError};

use super::failure_kind::FailureKind;
use super::session_record::{End, ServerError, SessionRecord};
use super::sqlstate::{Sqlstate, kind_of};

/// A statement failed. Diesel's error is its [`source`](std::error::Error::source).
///
/// The text may repeat what the server says to its operators: it is for logs, not for visitors.
#[derive(Debug)]
pub struct QueryError(Box<Inner>);

#[derive(Debug)]
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
        let kind =
            if session.is_in_transaction() && !session.is_read { kind.undone() } else { kind };
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

    pub(super) fn kind(&self) -> FailureKind {
        self.0.kind
    }

    /// The same failure where a new connection would not meet it.
    pub(super) fn stale(mut self) -> Self {
        self.0.kind = FailureKind::Stale;
        self
    }

    /// The same failure where the server undoes what it did.
    pub(super) fn undone(mut self) -> Self {
        self.0.kind = self.0.kind.undone();
        self
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
        // Another runtime had lent it.
        End::Dropped if session.is_read => FailureKind::NotRun,
        End::Dropped => FailureKind::Broken,
        End::Closed => match last.map(|error| kind_of_error(error, session.is_read)) {
            // The words went to another read, which may be what broke the connection.
            Some(FailureKind::Broken) if session.is_read => FailureKind::NotRun,
            kind => kind.unwrap_or(FailureKind::Broken),
        },
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

impl std::error::Error for QueryError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0.source)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::FailureKind::{Broken, NotRun, Passing, Unreadable, Vanished};
    use super::*;

    const MESSAGE: &str = "terminating connection due to administrator command";

    fn response(code: &str, severity: &str, message: &str) -> ServerError {
        of_routine(code, severity, message, "routine")
    }

    fn of_routine(code: &str, severity: &str, message: &str, routine: &str) -> ServerError {
        let body = format!("SFATAL\0V{severity}\0C{code}\0M{message}\0R{routine}\0\0");
        ServerError::parse(body.as_bytes()).unwrap()
    }

    fn session(is_read: bool) -> SessionRecord {
        SessionRecord::new(is_read, &Arc::default())
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
        // How the connection ended, whether the statement was sent, and what follows in a session
        // for reading and for writing.
        for (last, end, was_sent, code, in_read, in_write) in [
            (None, End::None, true, None, Unreadable, Unreadable),
            (None, End::Closed, false, None, NotRun, NotRun),
            (None, End::Closed, true, None, Broken, Broken),
            (None, End::Vanished, true, None, Vanished, Vanished),
            (None, End::Dropped, true, None, NotRun, Broken),
            (None, End::Dropped, false, None, NotRun, NotRun),
            (fatal("57P01"), End::Closed, true, Some("57P01"), NotRun, Broken),
            (fatal("57P01"), End::Closed, false, Some("57P01"), NotRun, NotRun),
            (fatal("57P05"), End::Closed, true, Some("57P05"), NotRun, NotRun),
            (fatal("25P03"), End::Closed, true, Some("25P03"), Passing, Passing),
            (fatal("25P04"), End::Closed, true, Some("25P04"), NotRun, Broken),
        ] {
            for (is_read, kind) in [(true, in_read), (false, in_write)] {
                let session = session(is_read);
                if let Some(error) = last {
                    session.record_error(error);
                }
                session.record_end(end);
                let error = QueryError::new(closed(), &session, was_sent);
                assert_eq!((error.code(), error.kind()), (code, kind), "{error:?}");
            }
        }
    }

    #[test]
    fn what_breaks_before_the_commit_is_certain() {
        let closed = || diesel(DatabaseErrorKind::UnableToSendCommand, "connection closed");
        for (is_in_transaction, kind) in [(true, Passing), (false, Broken)] {
            let session = session(false);
            session.record_transaction(is_in_transaction);
            session.record_end(End::Closed);
            assert_eq!(QueryError::new(closed(), &session, true).kind(), kind);
        }
    }

    #[test]
    fn the_last_words_of_a_read_are_its_own() {
        let session = session(true);
        session.record_error(response("57P01", "FATAL", MESSAGE));
        let own = QueryError::new(diesel(DatabaseErrorKind::Unknown, MESSAGE), &session, true);
        assert_eq!((own.code(), own.kind()), (Some("57P01"), Broken));
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

    type Event = fn(&SessionRecord, &dyn Fn() -> ServerError);

    #[test]
    fn what_retires_the_whole_pool() {
        let idle = || response("57P05", "FATAL", "idle");
        let plan = || of_routine("0A000", "ERROR", "stale", "RevalidateCachedQuery");
        let lasting = || of_routine("XX000", "ERROR", "no type", "getTypeInputInfo");
        let says: Event = |session, error| session.record_error(error());
        let vanishes: Event = |session, _| session.record_end(End::Vanished);
        // What happens to two connections, and whether it is true of a third one.
        for (event, error, is_of_pool) in [
            (says, &idle as &dyn Fn() -> ServerError, true),
            (says, &plan, true),
            (says, &lasting, false),
            (vanishes, &idle, true),
        ] {
            let pool = Arc::default();
            let new = || SessionRecord::new(true, &pool);
            let (one, other, third) = (new(), new(), new());
            event(&one, error);
            let younger = new();
            event(&other, error);
            assert!(one.is_retired() && other.is_retired() && !younger.is_retired());
            assert_eq!(third.is_retired(), is_of_pool, "{:?}", error());
        }
    }

    #[test]
    fn an_old_proxy_tells_the_severity_in_words_only() {
        let fatal = ServerError::parse(b"SFATAL\0C08P01\0Mno\0\0").unwrap();
        assert!(fatal.is_fatal);
    }
}
