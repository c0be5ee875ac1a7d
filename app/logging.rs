//! The log: where it goes, how much of it, and the request that each of its lines belongs to.

mod cut;
mod rate_limit;
mod request_id;

use std::io::{self, IsTerminal};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use tracing::{Instrument, Subscriber};
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

pub(crate) use self::cut::Cut;
use self::cut::CutLines;
use self::rate_limit::RateLimited;
pub(crate) use self::request_id::X_REQUEST_ID;
use self::request_id::request_id;
use crate::console::CommandError;
#[cfg(not(feature = "otlp"))]
use crate::environment::{is_set, process_env};
use crate::settings::{LogFormat, Settings};
#[cfg(feature = "otlp")]
use crate::traces::Traces;

/// Actix reports each malformed request as an error. The client has its answer, and the operator
/// nothing to mend.
const QUIET: &str = "actix_http=off";

/// How many lines wait to be written. More are lost: a reader of the log that stalls must not stall
/// the pages.
const WAITING_LINES: usize = 2000;

/// What the log needs while the program runs. Dropping it writes the lines that wait.
pub(crate) struct Logging {
    #[cfg(feature = "otlp")]
    _traces: Option<Traces>,
    _writer: WorkerGuard,
}

/// Logs to standard error, in `LOG_FORMAT`, filtered by `RUST_LOG`, until the guard is dropped. Sends
/// traces as well, with the feature `otlp`. Call it once.
pub(crate) fn start(settings: &Settings) -> Result<Logging, CommandError> {
    let writer = NonBlockingBuilder::default().buffered_lines_limit(WAITING_LINES);
    let (writer, guard) = writer.finish(io::stderr());
    let filter = EnvFilter::try_new(format!("{QUIET},{}", settings.log))?;
    #[cfg(feature = "otlp")]
    if let Some(traces) = Traces::start(settings)? {
        let log = lines(settings.log_format, writer).with_filter(filter);
        tracing_subscriber::registry().with(log).with(traces.layer()).init();
        return Ok(Logging { _traces: Some(traces), _writer: guard });
    }
    tracing_subscriber::registry().with(lines(settings.log_format, writer)).with(filter).init();
    #[cfg(not(feature = "otlp"))]
    if is_set(&process_env, "OTEL_EXPORTER_OTLP_ENDPOINT") {
        tracing::warn!(
            "OTEL_EXPORTER_OTLP_ENDPOINT is not used: this program was built without the feature otlp"
        );
    }
    Ok(Logging {
        #[cfg(feature = "otlp")]
        _traces: None,
        _writer: guard,
    })
}

/// Writes each event as a line.
fn lines<S>(format: LogFormat, writer: NonBlocking) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let log = tracing_subscriber::fmt::layer()
        // A line that cannot be written is lost. Telling so would panic where standard error is closed.
        .log_internal_errors(false)
        .with_writer(move || CutLines { writer: writer.clone(), format });
    match format {
        LogFormat::Text => log
            .with_ansi(io::stderr().is_terminal())
            .map_event_format(|event| RateLimited::new(event, format))
            .boxed(),
        LogFormat::Json => log
            .json()
            // It is the last one of `spans`.
            .with_current_span(false)
            .map_event_format(|event| RateLimited::new(event, format))
            .boxed(),
    }
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
