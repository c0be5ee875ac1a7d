//! The log: where it goes, how much of it, and the request that each of its lines belongs to.

mod cut;
mod rate_limit;
mod request_id;

use std::io::{self, IsTerminal};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use tracing::Instrument;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use self::cut::{Cut, CutLines};
use self::rate_limit::RateLimited;
use self::request_id::{X_REQUEST_ID, request_id};
use crate::console::CommandError;
use crate::settings::{LogFormat, Settings};

/// Actix reports each malformed request as an error. The client has its answer, and the operator
/// nothing to mend.
const QUIET: &str = "actix_http=off";

/// How many lines wait to be written. More are lost: a reader of the log that stalls must not stall
/// the pages.
const WAITING_LINES: usize = 2000;

/// Logs to standard error, in `LOG_FORMAT`, filtered by `RUST_LOG`, until the guard is dropped. Call it once.
pub(crate) fn start(settings: &Settings) -> Result<WorkerGuard, CommandError> {
    let writer = NonBlockingBuilder::default().buffered_lines_limit(WAITING_LINES);
    let (writer, guard) = writer.finish(io::stderr());
    let format = settings.log_format;
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(format!("{QUIET},{}", settings.log))?)
        // A line that cannot be written is lost. Telling so would panic where standard error is closed.
        .log_internal_errors(false)
        .with_writer(move || CutLines { writer: writer.clone(), format });
    match format {
        LogFormat::Text => log
            .with_ansi(io::stderr().is_terminal())
            .map_event_format(|event| RateLimited::new(event, format))
            .init(),
        LogFormat::Json => log
            .json()
            // It is the last one of `spans`.
            .with_current_span(false)
            .map_event_format(|event| RateLimited::new(event, format))
            .init(),
    }
    Ok(guard)
}

/// Middleware for [`from_fn`](actix_web::middleware::from_fn): a span with the request's id, method
/// and URL. The answer has the id as well.
pub(crate) async fn request_span(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let id = request_id(request.headers());
    // A span below the filter's level is left out of its events: of the highest level, it is in
    // all.
    let span = tracing::error_span!(
        "request",
        id = id.to_str().unwrap_or_default(),
        method = %request.method(),
        url = %Cut(request.uri())
    );
    let mut response = next.call(request).instrument(span).await?;
    response.headers_mut().insert(X_REQUEST_ID, id);
    Ok(response)
}
