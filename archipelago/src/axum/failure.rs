//! The response to a database's failure, for handlers that return [`Error`].

use axum_core::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER};

use crate::error::Error;
use crate::visitor::ErrorResponse;

/// 404 without a row, 503 with `retry-after` if the same request may succeed a little later, else
/// 500. The body is the status in words: the database's own words go to the log.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let ErrorResponse { status, retry_after } = ErrorResponse::of(&self).log(&self);
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, status.canonical_reason().unwrap_or_default()).into_response();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
