//! The metrics of this instance: recorded for each request, and shown to Prometheus on the second
//! port.

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
use archipelago::actix::{FLY_REPLAY, session_of};
use archipelago::{DownReason, RepoSet, Role, ServedBy};
use metrics::{Counter, Histogram, counter, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

use crate::repos::{Repos, leading_region};

/// The one recorder of this process.
static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// The buckets of every histogram: from a read in the own region to the longest statement.
const SECONDS: [f64; 12] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// How often new samples are sorted into the buckets.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

thread_local! {
    /// The series that this worker has used: the recorder takes ten times as long to find a series
    /// by its labels as to add to it.
    static REQUESTS: RefCell<HashMap<RequestLabels, Histogram>> = RefCell::default();
    static DATABASES: RefCell<HashMap<DatabaseLabels, (Counter, Histogram)>> = RefCell::default();
}

/// Method, route and status. The status is none for a request that was replayed in the primary's
/// region: it did not fail, and that region counts it.
type RequestLabels = (&'static str, String, Option<StatusCode>);

/// Region, role and reason.
type DatabaseLabels = [&'static str; 3];

/// Starts recording. Call it before a server starts: a worker caches its series, and those that it
/// made without a recorder record nothing. Needs a Tokio runtime. Fails if this process has a
/// recorder already.
pub fn install_recorder() -> Result<(), BuildError> {
    let handle = PrometheusBuilder::new().set_buckets(&SECONDS)?.install_recorder()?;
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
    metrics::describe_counter!(
        "archipelago_requests_total",
        "Requests that queried a database, by the region that served them and the reason"
    );
    metrics::describe_histogram!(
        "archipelago_database_seconds",
        metrics::Unit::Seconds,
        "Time that a request spent in queries, waiting for a connection included"
    );
    metrics::describe_gauge!(
        "archipelago_region_up",
        "Whether a region's database serves; 0 or 1, from its first answer on"
    );
    metrics::describe_gauge!(
        "archipelago_region_lag_seconds",
        metrics::Unit::Seconds,
        "Upper bound of a region's replication lag: 0 for a primary, NaN if it is unknown"
    );
    metrics::describe_gauge!(
        "archipelago_region_down",
        "Why a region's database does not serve: 1 for the reason"
    );
    metrics::describe_counter!(
        "archipelago_positions_dropped_total",
        "Positions of visitors that were of another history"
    );
    metrics::describe_gauge!(
        "archipelago_region_is_primary",
        "Whether this instance sends its writes to a region"
    );
    metrics::describe_gauge!(
        "archipelago_pool_connections",
        "Open connections of this instance to a region"
    );
    metrics::describe_gauge!(
        "archipelago_pool_idle_connections",
        "Open connections of this instance that are idle"
    );
    metrics::describe_gauge!(
        "archipelago_pool_statements",
        "Prepared statements that a region's server keeps for this instance"
    );
    metrics::describe_gauge!(
        "archipelago_pool_size",
        "POOL_SIZE, the limit that all workers share"
    );
    Ok(())
}

/// GET `/metrics`
pub(crate) async fn page(repos: Data<Repos>) -> HttpResponse {
    for pool in repos.pools() {
        let (state, labels) =
            (pool.state(), [("region", pool.info().code), ("access", pool.access().as_str())]);
        gauge!("archipelago_pool_connections", &labels).set(state.connections);
        gauge!("archipelago_pool_idle_connections", &labels).set(state.idle);
        gauge!("archipelago_pool_size", &labels).set(state.size);
        gauge!("archipelago_pool_statements", &labels).set(state.statements);
    }
    counter!("archipelago_positions_dropped_total").absolute(repos.cluster().dropped_positions());
    let leader = leading_region(&repos);
    for member in repos.members() {
        let (health, region) = (member.health(), member.info().code);
        let is_primary = Some(region) == leader;
        gauge!("archipelago_region_is_primary", "region" => region).set(u8::from(is_primary));
        let reason = health.down_reason.as_ref().map(DownReason::label);
        for label in DownReason::LABELS.iter().copied() {
            let is_reason = reason == Some(label);
            gauge!("archipelago_region_down", "region" => region, "reason" => label)
                .set(u8::from(is_reason));
        }
        if let Some(up) = health.up {
            gauge!("archipelago_region_up", "region" => region).set(u8::from(up));
            // Set even without a lag: a gauge would keep its last value after a promotion.
            let lag = health.lag.map_or(f64::NAN, |lag| lag.as_secs_f64());
            let lag = if health.role == Some(Role::Primary) { 0.0 } else { lag };
            gauge!("archipelago_region_lag_seconds", "region" => region).set(lag);
        }
    }
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
    if let Some((ServedBy { region, role, reason, .. }, elapsed)) =
        session_of(response.request()).served()
    {
        DATABASES.with_borrow_mut(|series| {
            let labels = [region, role.as_str(), reason.as_str()];
            let (count, seconds) = series.entry(labels).or_insert_with_key(database_series);
            count.increment(1);
            seconds.record(elapsed);
        });
    }
    Ok(response)
}

fn request_series((method, route, status): &RequestLabels) -> Histogram {
    let status = status.map_or("replay".to_owned(), |status| status.as_str().to_owned());
    histogram!("http_request_seconds", "method" => *method, "route" => route.clone(), "status" => status)
}

fn database_series(&[region, role, reason]: &DatabaseLabels) -> (Counter, Histogram) {
    (
        counter!("archipelago_requests_total", "region" => region, "role" => role, "reason" => reason),
        histogram!("archipelago_database_seconds", "region" => region),
    )
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
