//! The metrics of this instance, shown to Prometheus on the second port: the time of each request, and
//! what the library tells of the databases.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use actix_web::HttpResponse;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Data;
use archipelago::actix::FLY_REPLAY;
use archipelago::metrics::BUCKETS;
use metrics::{Histogram, histogram};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

use crate::repos::Repos;

/// The one recorder of this process.
static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// How often new samples are sorted into the buckets.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

thread_local! {
    /// The series that this worker has used: the recorder takes ten times as long to find a series
    /// by its labels as to add to it.
    static REQUESTS: RefCell<HashMap<RequestLabels, Histogram>> = RefCell::default();
}

/// Method, route and status. The status is none for a request that was replayed in the primary's
/// region: it did not fail, and that region counts it.
type RequestLabels = (&'static str, String, Option<StatusCode>);

/// Starts recording. Call it before a server starts: it makes its series once, and those that it
/// made without a recorder record nothing. Needs a Tokio runtime. Fails if this process has a
/// recorder already.
pub fn install_recorder() -> Result<(), BuildError> {
    let handle = PrometheusBuilder::new().set_buckets(BUCKETS)?.install_recorder()?;
    let upkeep = handle.clone();
    tokio::spawn(async move {
        // Without this, the samples would pile up until the next scrape.
        let mut interval = tokio::time::interval(UPKEEP_INTERVAL);
        loop {
            interval.tick().await;
            upkeep.run_upkeep();
        }
    });
    let _ = RECORDER.set(handle);
    metrics::describe_histogram!(
        "http_request_seconds",
        metrics::Unit::Seconds,
        "Time from a request to the head of its response"
    );
    Ok(())
}

/// GET `/metrics`
pub(crate) async fn page(repos: Data<Repos>) -> HttpResponse {
    archipelago::metrics::publish(&**repos);
    let text = RECORDER.get().map(PrometheusHandle::render).unwrap_or_default();
    HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(text)
}

/// Middleware for [`from_fn`](actix_web::middleware::from_fn): records the time and outcome of each
/// request.
pub(crate) async fn record_request(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let start = Instant::now();
    let response = next.call(request).await?;
    // The pattern instead of the path: one series for the pages of all users.
    let route = response.request().match_pattern().unwrap_or_else(|| "none".to_owned());
    let is_replay = response.headers().contains_key(FLY_REPLAY);
    let labels = (
        method_label(response.request().method()),
        route,
        (!is_replay).then_some(response.status()),
    );
    REQUESTS.with_borrow_mut(|series| {
        series.entry(labels).or_insert_with_key(request_series).record(start.elapsed());
    });
    Ok(response)
}

fn request_series((method, route, status): &RequestLabels) -> Histogram {
    let status = status.map_or("replay".to_owned(), |status| status.as_str().to_owned());
    histogram!("http_request_seconds", "method" => *method, "route" => route.clone(), "status" => status)
}

/// A client may send any word as its method, and each label would be a series that never goes away.
pub(crate) fn method_label(method: &Method) -> &'static str {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    known.into_iter().find(|known| method.as_str() == *known).unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_method_makes_no_series_of_its_own() {
        for (method, expected) in
            [("GET", "GET"), ("DELETE", "DELETE"), ("get", "other"), ("BREW", "other")]
        {
            let method = Method::from_bytes(method.as_bytes()).expect("a valid method");
            assert_eq!(method_label(&method), expected);
        }
    }
}
