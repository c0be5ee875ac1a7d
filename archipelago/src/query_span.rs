//! The span of a read or of a write, with the attributes that OpenTelemetry's conventions have for
//! clients of databases: <https://opentelemetry.io/docs/specs/semconv/db/database-spans/>.
//!
//! It has the target `archipelago::query` and the level DEBUG. It holds neither a statement nor a
//! value of a parameter. Where no subscriber wants it, it costs the look at one flag.

use tracing::Span;
use tracing::field::{Empty, display};

use crate::cluster::Member;
use crate::error::Error;
use crate::position::Position;
use crate::region::ServedBy;

/// The statements that a span may name. Of `WITH` the first word tells nothing.
const OPERATIONS: [&str; 16] = [
    "SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "VALUES", "TABLE", "CALL", "DO", "COPY",
    "CREATE", "ALTER", "DROP", "TRUNCATE", "LOCK", "REFRESH",
];

/// What the conventions call an error of which no more is known.
const OTHER: &str = "_OTHER";

/// The span of one read or one write, from the wait for a connection to the answer. It is never
/// entered: that would nest each future of a caller deeper, and the compiler bounds that depth.
pub(crate) struct QuerySpan(Span);

impl QuerySpan {
    /// Of a single statement.
    pub(crate) fn of_statement(first: &Member, sql: impl FnOnce() -> Option<String>) -> Self {
        let span = Self::new();
        if !span.0.is_disabled() {
            let sql = sql();
            let operation = sql.as_deref().and_then(operation);
            if let Some(operation) = operation {
                span.0.record("db.operation.name", operation);
            }
            span.name(operation.unwrap_or("statement"), first);
        }
        span
    }

    /// Of several statements, such as a transaction.
    pub(crate) fn of_several(first: &Member, what: &'static str) -> Self {
        let span = Self::new();
        span.name(what, first);
        span
    }

    fn new() -> Self {
        Self(tracing::debug_span!(
            target: "archipelago::query",
            "query",
            otel.kind = "client",
            otel.name = Empty,
            otel.status_code = Empty,
            db.system.name = "postgresql",
            db.namespace = Empty,
            db.operation.name = Empty,
            server.address = Empty,
            server.port = Empty,
            archipelago.region = Empty,
            archipelago.role = Empty,
            archipelago.reason = Empty,
            archipelago.position = Empty,
            "error.type" = Empty,
        ))
    }

    /// Names the span by what it does, and the database, which has one name in every region.
    fn name(&self, what: &str, first: &Member) {
        if self.0.is_disabled() {
            return;
        }
        match first.reading().url().config().get_dbname() {
            Some(database) => {
                self.0.record("db.namespace", database);
                self.0.record("otel.name", display(format_args!("{what} {database}")));
            }
            None => {
                self.0.record("otel.name", what);
            }
        }
    }

    /// Records which database has answered.
    pub(crate) fn answered<'m>(
        &self,
        served_by: ServedBy,
        position: Position,
        member: impl FnOnce() -> &'m Member,
    ) {
        if self.0.is_disabled() {
            return;
        }
        self.record_server(member());
        self.0.record("archipelago.region", served_by.region);
        self.0.record("archipelago.role", served_by.role.as_str());
        self.0.record("archipelago.reason", served_by.reason.as_str());
        self.0.record("archipelago.position", display(position));
    }

    /// Records that no database has answered, or the last one with an error. A caller's own error
    /// is not known.
    pub(crate) fn failed<'m>(&self, error: Option<&Error>, member: impl FnOnce() -> &'m Member) {
        if self.0.is_disabled() {
            return;
        }
        let member = member();
        self.record_server(member);
        self.0.record("archipelago.region", member.info().code);
        self.0.record("error.type", error.map_or(OTHER, error_type));
        self.0.record("otel.status_code", "ERROR");
    }

    fn record_server(&self, member: &Member) {
        let url = member.reading().url();
        self.0.record("server.address", url.host());
        // Signed, as OpenTelemetry's integers are.
        self.0.record("server.port", i64::from(url.port()));
    }
}

/// The first word of a statement, if it is a known one.
fn operation(sql: &str) -> Option<&'static str> {
    let sql = sql.trim_start_matches(|c: char| c.is_whitespace() || c == '(');
    let word = sql.split(|c: char| !c.is_ascii_alphabetic()).next()?;
    OPERATIONS.into_iter().find(|known| word.eq_ignore_ascii_case(known))
}

/// The SQLSTATE, or a word for what went wrong.
fn error_type(error: &Error) -> &str {
    if let Some(code) = error.code() {
        return code;
    }
    match error {
        Error::Unreachable { reason, .. } => reason.label(),
        Error::Busy { .. } => "busy",
        Error::Timeout { .. } => "timeout",
        Error::NotPrimary { .. } => "not_primary",
        Error::NoPrimary { .. } => "no_primary",
        Error::NotServed { .. } => "not_served",
        Error::ShutDown { .. } => "shut_down",
        Error::Query(_) => OTHER,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::error::DownReason;

    #[test]
    fn the_operation_is_the_first_word_of_the_statement() {
        for (sql, expected) in [
            ("SELECT 1", Some("SELECT")),
            ("\n ((select 1) UNION (select 2))", Some("SELECT")),
            ("INSERT INTO users", Some("INSERT")),
            ("Do $$ $$", Some("DO")),
            ("WITH a AS (DELETE FROM users RETURNING id) SELECT 1", None),
            ("SELECTED", None),
            ("'hunter2'", None),
            ("/* SELECT */", None),
            ("", None),
        ] {
            assert_eq!(operation(sql), expected, "{sql}");
        }
    }

    #[test]
    fn an_error_has_one_word() {
        let (region, waited) = ("ord", Duration::from_secs(1));
        for (error, expected) in [
            (Error::Busy { region, waited }, "busy"),
            (Error::Timeout { region, waited }, "timeout"),
            (DownReason::Silent { waited }.in_region(region), "silent"),
            (DownReason::NotPrimary.in_region(region), "not_primary"),
            (Error::NotServed { tried: vec![] }, "not_served"),
            (diesel::result::Error::NotFound.into(), OTHER),
        ] {
            assert_eq!(error_type(&error), expected, "{error}");
        }
    }
}
