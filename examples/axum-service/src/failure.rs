//! Why a request fails, and how it is answered.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::task::JoinError;

#[derive(Debug)]
pub enum Failure {
    Refused(&'static str),
    Database(archipelago::Error),
    TaskPanicked,
}

impl From<archipelago::Error> for Failure {
    fn from(error: archipelago::Error) -> Self {
        match error.constraint() {
            Some("transfers_payee_fkey") => Self::Refused("there is no such payee"),
            _ => Self::Database(error),
        }
    }
}

/// For `?` in a transaction, where Diesel's methods return Diesel's error.
impl From<diesel::result::Error> for Failure {
    fn from(error: diesel::result::Error) -> Self {
        archipelago::Error::from(error).into()
    }
}

/// For `?` on a spawned task.
impl From<JoinError> for Failure {
    fn from(_: JoinError) -> Self {
        Self::TaskPanicked
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            Self::Refused(reason) => (StatusCode::UNPROCESSABLE_ENTITY, reason).into_response(),
            Self::TaskPanicked => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            // Logs the error, and shows no words of the database.
            Self::Database(error) => error.into_response(),
        }
    }
}
