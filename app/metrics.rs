//! What Prometheus reads on the second port, which is not public.

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
use archipelago::actix::{FLY_REPLAY, RequestSession};
use archipelago::{RepoSet, Role, ServedBy};
use metrics::{Counter, Histogram, counter, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

use crate::repos::Repos;

/// The recorder of this process: there can be only one.
static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// The buckets of every histogram: from a read at home to the longest statement.
const SECONDS: [f64; 12] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// How often what was recorded is put into the buckets.
const UPKEEP: Duration = Duration::from_secs(5);

thread_local! {
    /// What this worker has counted before. To find a series by its labels costs ten times what adding to it does.
    static REQUESTS: RefCell<HashMap<RequestLabels, Histogram>> = RefCell::default();
    static DATABASES: RefCell<HashMap<DatabaseLabels, (Counter, Histogram)>> = RefCell::default();
}

/// Method, route and status; no status where the request was handed to the primary's region: that has not failed, and is counted
/// there.
type RequestLabels = (&'static str, String, Option<StatusCode>);

/// Region, role and reason.
type DatabaseLabels = [&'static str; 3];

/// Begins to record. Call it before a server starts: a worker that counted before goes on counting into nothing. Needs a Tokio
/// runtime.
///
/// # Errors
/// When something else in this process records already.
pub fn record() -> Result<(), BuildError> {
    let handle = PrometheusBuilder::new().set_buckets(&SECONDS)?.install_recorder()?;
    let upkeep = handle.clone();
    tokio::spawn(async move {
        // Without it, what nobody scrapes would grow for ever.
        let mut interval = tokio::time::interval(UPKEEP);
        loop {
            interval.tick().await;
            upkeep.run_upkeep();
        }
    });
    let _ = RECORDER.set(handle);
    metrics::describe_histogram!(
        "http_request_seconds",
        metrics::Unit::Seconds,
        "From the first byte to the answer's head"
    );
    metrics::describe_counter!(
        "archipelago_requests_total",
        "Requests that asked a database, by the one that served and why"
    );
    metrics::describe_histogram!(
        "archipelago_database_seconds",
        metrics::Unit::Seconds,
        "A request's time in queries, checkout included"
    );
    metrics::describe_gauge!(
        "archipelago_region_up",
        "Whether a region's database serves; only of those that this instance watches"
    );
    metrics::describe_gauge!(
        "archipelago_region_lag_seconds",
        metrics::Unit::Seconds,
        "How far a region's database is behind the primary, at the most: 0 for a primary, NaN where nobody can tell"
    );
    metrics::describe_gauge!(
        "archipelago_region_is_primary",
        "Whether this instance's writes go to a region"
    );
    metrics::describe_gauge!(
        "archipelago_pool_connections",
        "Open connections of this instance to a region"
    );
    metrics::describe_gauge!(
        "archipelago_pool_idle_connections",
        "Open connections that nobody uses"
    );
    metrics::describe_gauge!(
        "archipelago_pool_size",
        "POOL_SIZE, which the workers divide among them"
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
    }
    let leader = repos.leader().info().code;
    for member in repos.members() {
        let (health, region) = (member.health(), member.info().code);
        gauge!("archipelago_region_is_primary", "region" => region).set(u8::from(region == leader));
        if let Some(up) = health.up {
            gauge!("archipelago_region_up", "region" => region).set(u8::from(up));
            // Said in any case: a gauge keeps what it was last told, also when the replica is one no more.
            let lag = health.lag.map_or(f64::NAN, |lag| lag.as_secs_f64());
            let lag = if health.role == Some(Role::Primary) { 0.0 } else { lag };
            gauge!("archipelago_region_lag_seconds", "region" => region).set(lag);
        }
    }
    let text = RECORDER.get().map(PrometheusHandle::render).unwrap_or_default();
    HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(text)
}

/// Middleware for [`from_fn`](actix_web::middleware::from_fn).
///
/// # Errors
/// What the handler's are.
pub async fn count_requests(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let start = Instant::now();
    let response = next.call(request).await?;
    // The pattern and not the path: one series for all users.
    let route = response.request().match_pattern().unwrap_or_else(|| "none".to_owned());
    let is_replay = response.headers().contains_key(FLY_REPLAY);
    let labels =
        (known(response.request().method()), route, (!is_replay).then_some(response.status()));
    REQUESTS.with_borrow_mut(|series| {
        series.entry(labels).or_insert_with_key(request_series).record(start.elapsed())
    });
    if let Some((ServedBy { region, role, reason, .. }, elapsed)) =
        RequestSession::of(response.request()).served()
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

/// A client may send any word as a method; each would be a series for ever.
fn known(method: &Method) -> &'static str {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    known.into_iter().find(|known| method.as_str() == *known).unwrap_or("other")
}
