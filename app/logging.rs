//! The log: where it goes, and the request that each of its lines belongs to.

use std::io::{self, IsTerminal};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use tracing::Instrument;
use tracing_subscriber::EnvFilter;

use crate::console::CommandError;
use crate::settings::Settings;

/// Logs to standard error from now on, filtered by `RUST_LOG`. Call it once.
pub(crate) fn start(settings: &Settings) -> Result<(), CommandError> {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(&settings.log)?)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        // A line that cannot be written is lost. Telling so would panic where standard error is closed.
        .log_internal_errors(false)
        .init();
    Ok(())
}

/// Middleware for [`from_fn`](actix_web::middleware::from_fn): a span with the request's method and
/// URL.
pub(crate) async fn request_span(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    // A span below the filter's level is left out of its events: of the highest level, it is in
    // all.
    let span = tracing::error_span!("request", method = %request.method(), url = %request.uri());
    next.call(request).instrument(span).await
}
