//! What every line of the log that a request causes says of that request.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use tracing::Instrument;

/// Middleware for [`from_fn`](actix_web::middleware::from_fn): a span with the request's method and URL.
///
/// # Errors
/// What the handler's are.
pub async fn request_span(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    // Of the highest level: a filter that lets an error through then lets through what it happened to.
    let span = tracing::error_span!("request", method = %request.method(), url = %request.uri());
    next.call(request).instrument(span).await
}
