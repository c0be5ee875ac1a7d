//! The HTTP status of a database's failure, for handlers that return [`Error`].

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};

use crate::error::Error;

/// 404 without a row, 503 if the same request may succeed a little later, else 500. The body is the
/// status in words: the database's own words are for the log.
impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        match self {
            error if error.is_not_found() => StatusCode::NOT_FOUND,
            error if error.is_passing() => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        HttpResponse::build(status).body(status.canonical_reason().unwrap_or_default())
    }
}
