//! The response to a database's failure, for handlers that return [`Error`].

use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use actix_web::{HttpResponse, ResponseError};

use crate::error::Error;
use crate::visitor::ErrorResponse;

/// 404 without a row, 503 with `retry-after` if the same request may succeed a little later, else
/// 500. The body is the status in words: the database's own words go to the log.
impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        let status = ErrorResponse::of(self).status;
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        let ErrorResponse { retry_after, .. } = ErrorResponse::of(self).log(self);
        let mut response = HttpResponse::build(status);
        if let Some(seconds) = retry_after {
            response.insert_header((RETRY_AFTER, seconds));
        }
        response.body(status.canonical_reason().unwrap_or_default())
    }
}
