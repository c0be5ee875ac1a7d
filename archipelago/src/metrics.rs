//! What operators watch, by the facade of the crate [`metrics`](https://docs.rs/metrics): for whichever exporter the
//! program has. Needs the feature `metrics`.
//!
//! ```no_run
//! # archipelago::repos! { primary home; replica near }
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use metrics_exporter_prometheus::PrometheusBuilder;
//!
//! // Before the repos: what they record without a recorder is lost, and stays lost.
//! let exporter = PrometheusBuilder::new().set_buckets(archipelago::metrics::BUCKETS)?;
//! let prometheus = exporter.install_recorder()?;
//!
//! let settings = archipelago::Settings::from_env::<Repos>()?;
//! let repos = Repos::connect(&settings).await?;
//!
//! // In the handler of `/metrics`:
//! archipelago::metrics::publish(&repos);
//! let page: String = prometheus.render();
//! # Ok(())
//! # }
//! ```
//!
//! The times of reads, writes and checkouts are recorded as they pass. Everything else is counted by
//! the library anyway, and [`publish`] copies it. Of several sets of repos in one process,
//! publish one: the series have no label that tells them apart.
//!
//! `docs/operating.md` lists each metric, and `deploy/` has alerts and a dashboard.

mod descriptions;

use metrics::{counter, gauge};

use self::descriptions::describe;
use crate::cluster::Member;
use crate::error::{CloseReason, DownReason};
use crate::pool::Pool;
use crate::region::{Reason, Role};
use crate::repo_set::RepoSet;

/// Buckets for the histograms, in seconds: from a read in the own region to the longest statement.
pub const BUCKETS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Copies what these repos know and have counted to the recorder. Call it before each scrape. Asks no
/// server; costs some microseconds for each region.
pub fn publish<R: RepoSet>(repos: &R) {
    describe();
    gauge!("archipelago_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    publish_cluster(repos);
    let has_leader = repos.cluster().no_primary().is_none();
    let leader = repos.leader().info().code;
    for member in repos.members() {
        publish_traffic(member);
        publish_health(member, has_leader && member.info().code == leader);
        publish_connections(member);
        for pool in [member.reading(), member.writing()] {
            publish_pool(pool);
        }
    }
}

/// What is known of all databases together.
fn publish_cluster<R: RepoSet>(repos: &R) {
    let cluster = repos.cluster();
    // One that serves no reads may take writes.
    let is_silent = repos.leader().health().down_reason.is_some_and(|it| it.is_silence());
    gauge!("archipelago_monitor_up").set(u8::from(!cluster.monitor_has_ended()));
    gauge!("archipelago_primary_up").set(u8::from(cluster.no_primary().is_none() && !is_silent));
    counter!("archipelago_leader_changes_total").absolute(cluster.elections().changes);
    counter!("archipelago_positions_dropped_total").absolute(cluster.dropped_positions());
    let max_lag = cluster.max_lag().map_or(f64::INFINITY, |limit| limit.as_secs_f64());
    gauge!("archipelago_max_lag_seconds").set(max_lag);
    let spilled = u32::try_from(cluster.spilled_reads()).unwrap_or(u32::MAX);
    gauge!("archipelago_spilled_reads").set(spilled);
    gauge!("archipelago_max_spill").set(R::MAX_SPILL);
    counter!("archipelago_refused_spills_total").absolute(cluster.refused_spills());
}

/// What a database has done for this instance.
fn publish_traffic(member: &Member) {
    let (traffic, region) = (member.traffic(), member.info().code);
    for reason in Reason::ALL.iter().copied() {
        let labels = [("region", region), ("reason", reason.as_str())];
        counter!("archipelago_reads_total", &labels).absolute(traffic.reads(reason));
    }
    counter!("archipelago_writes_total", "region" => region).absolute(traffic.writes);
    counter!("archipelago_failures_total", "region" => region).absolute(traffic.failures);
}

/// How a database is.
fn publish_health(member: &Member, is_primary: bool) {
    let (health, region) = (member.health(), member.info().code);
    gauge!("archipelago_region_is_primary", "region" => region).set(u8::from(is_primary));
    counter!("archipelago_conflicts_total", "region" => region).absolute(health.conflicts);
    let is_conflict = health.down_reason.as_ref().is_some_and(DownReason::is_conflict);
    gauge!("archipelago_region_conflict", "region" => region).set(u8::from(is_conflict));
    let reason = health.down_reason.as_ref().map(DownReason::label);
    for label in DownReason::LABELS.iter().copied() {
        let is_reason = reason == Some(label);
        gauge!("archipelago_region_down", "region" => region, "reason" => label)
            .set(u8::from(is_reason));
    }
    let Some(up) = health.up else { return };
    gauge!("archipelago_region_up", "region" => region).set(u8::from(up));
    // Set even where it is unknown: a gauge would keep its last value after a promotion.
    let [seconds, bytes] = match health.role {
        Some(Role::Primary) => [0.0, 0.0],
        _ => [
            health.lag.map_or(f64::NAN, |lag| lag.as_secs_f64()),
            health.lag_bytes.map_or(f64::NAN, number),
        ],
    };
    gauge!("archipelago_region_lag_seconds", "region" => region).set(seconds);
    gauge!("archipelago_region_lag_bytes", "region" => region).set(bytes);
    let round_trip = health.round_trip.map_or(f64::NAN, |took| took.as_secs_f64());
    gauge!("archipelago_region_round_trip_seconds", "region" => region).set(round_trip);
}

/// What has happened to the connections of a database.
fn publish_connections(member: &Member) {
    let region = member.info().code;
    let counts = [member.reading().counts(), member.writing().counts()];
    for reason in CloseReason::ALL.iter().copied() {
        let labels = [("region", region), ("reason", reason.as_str())];
        let closed = counts.iter().map(|counts| counts.closed(reason)).sum();
        counter!("archipelago_closed_connections_total", &labels).absolute(closed);
    }
    let stale_plans = counts.iter().map(|counts| counts.stale_plans).sum();
    counter!("archipelago_stale_plans_total", "region" => region).absolute(stale_plans);
    let cancels = counts.iter().map(|counts| counts.cancels).sum();
    counter!("archipelago_cancels_total", "region" => region).absolute(cancels);
}

/// How many connections a pool has now.
fn publish_pool(pool: &Pool) {
    let state = pool.state();
    let labels = [("region", pool.info().code), ("access", pool.access().as_str())];
    gauge!("archipelago_pool_size", &labels).set(state.size);
    gauge!("archipelago_pool_connections", &labels).set(state.connections);
    gauge!("archipelago_pool_idle_connections", &labels).set(state.idle);
    gauge!("archipelago_pool_waiting_callers", &labels).set(state.waiting);
    gauge!("archipelago_pool_statements", &labels).set(state.statements);
}

/// Exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "a gauge is an f64")]
fn number(bytes: u64) -> f64 {
    bytes as f64
}
