//! What each metric says, for exporters.

use metrics::{KeyName, Recorder, SharedString, Unit, with_recorder};

/// How a recorder takes a description.
type Describe = fn(&dyn Recorder, KeyName, Option<Unit>, SharedString);

const COUNTER: Describe = |to, name, unit, text| to.describe_counter(name, unit, text);
const GAUGE: Describe = |to, name, unit, text| to.describe_gauge(name, unit, text);
const HISTOGRAM: Describe = |to, name, unit, text| to.describe_histogram(name, unit, text);

const METRICS: [(Describe, &str, Option<Unit>, &str); 31] = [
    (GAUGE, "archipelago_monitor_up", None, "Whether the thread that watches the databases runs"),
    (GAUGE, "archipelago_build_info", None, "1, with the version of the library"),
    (
        COUNTER,
        "archipelago_reads_total",
        None,
        "Reads that a region's database served this instance, by the reason for asking it",
    ),
    (
        COUNTER,
        "archipelago_writes_total",
        None,
        "Writes and transactions that a region's database committed for this instance",
    ),
    (
        COUNTER,
        "archipelago_failures_total",
        None,
        "Requests that failed at a region's database, or found no connection to it",
    ),
    (
        HISTOGRAM,
        "archipelago_read_seconds",
        Some(Unit::Seconds),
        "Time from the call of a read to its answer, by the database that served it",
    ),
    (
        HISTOGRAM,
        "archipelago_write_seconds",
        Some(Unit::Seconds),
        "Time from the call of a write or transaction until it has committed",
    ),
    (
        HISTOGRAM,
        "archipelago_checkout_seconds",
        Some(Unit::Seconds),
        "Time that callers waited for a connection, whether or not they got one",
    ),
    (
        GAUGE,
        "archipelago_primary_up",
        None,
        "Whether a database takes this instance's writes; 0 or 1",
    ),
    (
        COUNTER,
        "archipelago_leader_changes_total",
        None,
        "How often another database, a restarted one, or none has come to take the writes",
    ),
    (
        GAUGE,
        "archipelago_region_is_primary",
        None,
        "Whether this instance sends its writes to a region; 0 or 1",
    ),
    (
        GAUGE,
        "archipelago_region_up",
        None,
        "Whether a region's database serves; 0 or 1, from its first answer on",
    ),
    (
        GAUGE,
        "archipelago_region_down",
        None,
        "Why a region's database does not serve: 1 for the reason",
    ),
    (
        GAUGE,
        "archipelago_region_conflict",
        None,
        "Whether a region's database may have a history of its own; 0 or 1",
    ),
    (
        COUNTER,
        "archipelago_conflicts_total",
        None,
        "How often a region's database was found with a history of its own",
    ),
    (
        GAUGE,
        "archipelago_region_lag_seconds",
        Some(Unit::Seconds),
        "Upper bound of a region's replication lag: 0 for a primary, NaN if it is unknown",
    ),
    (
        GAUGE,
        "archipelago_region_lag_bytes",
        Some(Unit::Bytes),
        "Bytes of the log that a region has not replayed: 0 for a primary, NaN if unknown",
    ),
    (
        GAUGE,
        "archipelago_max_lag_seconds",
        Some(Unit::Seconds),
        "How far behind the primary a replica may be and still serve reads",
    ),
    (
        GAUGE,
        "archipelago_region_round_trip_seconds",
        Some(Unit::Seconds),
        "How long a region's database took for its last answer to the monitor",
    ),
    (
        GAUGE,
        "archipelago_pool_size",
        None,
        "POOL_SIZE: the most connections of this instance to a region",
    ),
    (
        GAUGE,
        "archipelago_pool_connections",
        None,
        "Connections of this instance to a region, those included that are being opened",
    ),
    (
        GAUGE,
        "archipelago_pool_idle_connections",
        None,
        "Open connections of this instance to a region that are not in use",
    ),
    (
        GAUGE,
        "archipelago_pool_waiting_callers",
        None,
        "Callers that wait for a connection to a region",
    ),
    (
        GAUGE,
        "archipelago_pool_statements",
        None,
        "Prepared statements that a region's server keeps for this instance",
    ),
    (
        COUNTER,
        "archipelago_closed_connections_total",
        None,
        "Connections to a region that were closed, by the reason",
    ),
    (
        COUNTER,
        "archipelago_stale_plans_total",
        None,
        "Statements that met a plan or a type which a change of the schema had made stale",
    ),
    (
        COUNTER,
        "archipelago_cancels_total",
        None,
        "Requests to cancel what a region's server worked on for a caller who has left",
    ),
    (
        COUNTER,
        "archipelago_positions_dropped_total",
        None,
        "Positions of visitors that were of another history",
    ),
    (
        GAUGE,
        "archipelago_spilled_reads",
        None,
        "Reads from elsewhere that the primary serves now for this instance",
    ),
    (
        GAUGE,
        "archipelago_max_spill",
        None,
        "The most reads from elsewhere that the primary serves at once for this instance",
    ),
    (
        COUNTER,
        "archipelago_refused_spills_total",
        None,
        "Reads from elsewhere that found no place at the primary",
    ),
];

/// Describes every metric to the recorder. A second time costs little.
pub(super) fn describe() {
    with_recorder(|recorder| {
        for (describe, name, unit, text) in METRICS {
            describe(recorder, KeyName::from_const_str(name), unit, SharedString::const_str(text));
        }
    });
}
