//! What can go wrong with a request, and the one place where a failure gets its HTTP status.

use actix_web::ResponseError;
use actix_web::http::StatusCode;
use archipelago::Error;
use diesel::result::{DatabaseErrorKind, Error as DieselError};

/// Why a request got no page of its own. `pages::failure` makes one of it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The id is nobody's.
    #[error("there is no such user")]
    NoSuchUser,
    /// The request makes no sense; what to do about it.
    #[error("{0}")]
    Nonsense(&'static str),
    /// Another site made the visitor's browser send this.
    #[error("a write from another site was refused")]
    CrossSite,
    /// A database did not answer, or refused.
    #[error(transparent)]
    Database(#[from] Error),
    /// A page could not be rendered.
    #[error(transparent)]
    Page(#[from] askama::Error),
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::NoSuchUser => StatusCode::NOT_FOUND,
            Self::Nonsense(_) => StatusCode::BAD_REQUEST,
            Self::CrossSite => StatusCode::FORBIDDEN,
            Self::Database(error) if is_passing(error) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Database(_) | Self::Page(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// Whether the same request may succeed a little later: the database is down, slow, read-only, or went away in between.
#[must_use]
pub fn is_passing(error: &Error) -> bool {
    match error {
        Error::Unreachable { .. } | Error::Busy { .. } | Error::Timeout { .. } | Error::ShutDown { .. } => true,
        Error::Query(DieselError::DatabaseError(kind, message)) => match kind {
            DatabaseErrorKind::ReadOnlyTransaction
            | DatabaseErrorKind::SerializationFailure
            | DatabaseErrorKind::UnableToSendCommand
            | DatabaseErrorKind::ClosedConnection => true,
            // Diesel keeps no SQLSTATE of 57014, 57P01 and 57P03, only the server's words.
            _ => ["terminating connection", "canceling statement", "connection closed", "the database system is"]
                .iter()
                .any(|words| message.message().contains(words)),
        },
        Error::Query(_) => false,
    }
}
