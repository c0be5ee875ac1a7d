//! Traces: sends the spans of requests and of their queries to a collector of OpenTelemetry. The
//! standard variables say where it is and what to send:
//! <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>.
//!
//! A thread of the SDK sends batches. A request only adds its spans to a queue; one that is full
//! drops them.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderMap, HeaderName};
use actix_web::middleware::Next;
use opentelemetry::KeyValue;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::resource::{
    EnvResourceDetector, ResourceDetector, TelemetryResourceDetector,
};
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::field::Empty;
use tracing::{Instrument, Level, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

use crate::console::CommandError;
use crate::environment::{is_set, process_env};
use crate::logging::{Cut, X_REQUEST_ID};
use crate::metrics::method_label;
use crate::settings::Settings;

/// The target of the spans of requests.
const REQUESTS: &str = "archipelago_app::traces";

/// The target of the library's spans of reads and writes.
const QUERIES: &str = "archipelago::query";

const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";

/// Any of these asks for traces.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];

/// Sends what has ended when it is dropped, for five seconds at most.
pub(crate) struct Traces(SdkTracerProvider);

impl Drop for Traces {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

impl Traces {
    /// Starts the thread that sends them, if the environment names a collector.
    pub(crate) fn start(settings: &Settings) -> Result<Option<Self>, CommandError> {
        if !ENDPOINTS.iter().any(|name| is_set(&process_env, name)) {
            return Ok(None);
        }
        // The client takes the provider of the process. It may have one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let exporter = SpanExporter::builder().with_http().build()?;
        let provider = SdkTracerProvider::builder()
            .with_resource(resource(settings))
            .with_batch_exporter(exporter)
            .build();
        Ok(Some(Self(provider)))
    }

    /// The layer that hands the spans of requests and queries to the thread, whatever the log shows.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let wanted = Targets::new().with_targets([REQUESTS, QUERIES].map(|it| (it, Level::DEBUG)));
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer("archipelago"))
            // None of these says anything about a request.
            .with_location(false)
            .with_target(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(wanted)
    }
}

/// What all spans of this instance have in common.
fn resource(settings: &Settings) -> Resource {
    let detectors: [Box<dyn ResourceDetector>; 2] =
        [Box::new(TelemetryResourceDetector), Box::new(EnvResourceDetector::new())];
    let region = settings.region().map(|region| KeyValue::new("cloud.region", region.to_owned()));
    let resource = Resource::builder_empty()
        .with_service_name("archipelago")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attributes(region)
        .with_detectors(&detectors);
    match process_env(SERVICE_NAME) {
        Ok(name) if !name.is_empty() => resource.with_service_name(name).build(),
        _ => resource.build(),
    }
}

/// Middleware for [`from_fn`](actix_web::middleware::from_fn): a span of the request, by the
/// [conventions for servers](https://opentelemetry.io/docs/specs/semconv/http/http-spans/). It
/// continues the trace of the header `traceparent`.
pub(crate) async fn trace_request(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let span = tracing::debug_span!(
        target: REQUESTS,
        "request",
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method_label(request.method()),
        http.route = Empty,
        http.response.status_code = Empty,
        url.path = %Cut(request.path()),
        url.scheme = if archipelago::actix::is_secure(request.request()) { "https" } else { "http" },
        archipelago.request_id = Empty,
    );
    if span.is_disabled() {
        return next.call(request).await;
    }
    let parent = TraceContextPropagator::new().extract(&Headers(request.headers()));
    // Fails only where the layer is not there: then the span goes nowhere.
    let _ = span.set_parent(parent);
    let response = next.call(request).instrument(span.clone()).await?;
    let (method, status) = (method_label(response.request().method()), response.status());
    // The layer takes no `otel.name` once the span was entered.
    match response.request().match_pattern() {
        Some(route) => {
            span.context().span().update_name(format!("{method} {route}"));
            span.record("http.route", route);
        }
        None => span.context().span().update_name(method),
    }
    span.record("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    if let Some(id) = response.headers().get(X_REQUEST_ID).and_then(|id| id.to_str().ok()) {
        span.record("archipelago.request_id", id);
    }
    Ok(response)
}

/// Actix's headers, for OpenTelemetry.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}
