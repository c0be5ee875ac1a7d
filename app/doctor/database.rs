//! What a server says of itself and of the role that asks.

use std::time::{Instant, SystemTime};

use archipelago::{DatabaseUrl, DownReason, Error, Freshness, Replica};
use diesel::dsl::{select, sql};
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, Text};
use diesel_async::RunQueryDsl;

/// What the app does with its table, which is not there before the first migration.
const MISSING_RIGHTS: &str = "CASE WHEN to_regclass('users') IS NOT NULL THEN ARRAY(
    SELECT needed FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) needed
    WHERE NOT has_table_privilege(to_regclass('users'), needed)) END";

/// Sessions of roles that are no superusers.
const SESSIONS_ALLOWED: &str = "current_setting('max_connections')::int
    - current_setting('superuser_reserved_connections')::int";

const SESSIONS: &str = "(SELECT coalesce(sum(numbackends), 0)::int FROM pg_stat_database)";

const CLOCK: &str = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint";

/// What the monitor calls, as docs/deploying.md lists it. A function that this version of PostgreSQL
/// lacks counts as allowed.
const DENIED_FUNCTIONS: &str = "ARRAY(SELECT called FROM unnest(ARRAY[
    'pg_is_in_recovery()', 'pg_postmaster_start_time()', 'pg_control_system()',
    'pg_control_checkpoint()', 'pg_control_recovery()', 'pg_stat_get_wal_receiver()',
    'pg_stat_get_wal_senders()', 'pg_stat_get_activity(integer)', 'pg_walfile_name(pg_lsn)',
    'pg_current_wal_insert_lsn()', 'pg_current_wal_flush_lsn()', 'pg_last_wal_receive_lsn()',
    'pg_last_wal_replay_lsn()', 'pg_last_xact_replay_timestamp()', 'pg_get_wal_replay_pause_state()',
    'pg_logical_emit_message(boolean, text, text)',
    'pg_logical_emit_message(boolean, text, text, boolean)']) called
    WHERE NOT coalesce(has_function_privilege(to_regprocedure(called)::oid, 'EXECUTE'), true))";

const SEES_STATISTICS: &str = "pg_has_role('pg_read_all_stats', 'USAGE')";

/// From where a replica receives the log, as the role may see it.
const SENDER: &str = "(SELECT format('%s:%s', sender_host, sender_port) FROM pg_stat_wal_receiver
    WHERE status = 'streaming')";

const IS_PAUSED: &str =
    "CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END";

/// What a `CREATE INDEX CONCURRENTLY` leaves that failed.
const INVALID_INDEXES: &str =
    "ARRAY(SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid)";

const TLS: &str = "(SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid())";

/// What a session for writing sees.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) role: String,
    pub(super) version: String,
    pub(super) is_replica: bool,
    /// The version of TLS; none without.
    pub(super) tls: Option<String>,
    pub(super) sessions_allowed: i32,
    pub(super) sessions: i32,
    /// What the role may not do with the users. None where there is no such table.
    pub(super) missing_rights: Option<Vec<String>>,
    /// The functions that the role may not call, of those that the monitor calls.
    pub(super) denied_functions: Vec<String>,
    /// Whether the role may see what replicas receive.
    pub(super) sees_statistics: bool,
    /// From where a replica receives the log; none where it receives nothing, or the role may not see it.
    pub(super) sender: Option<String>,
    /// Whether an operator has paused the replay of a replica.
    pub(super) is_paused: bool,
    pub(super) invalid_indexes: Vec<String>,
    /// By how many seconds its clock differs from this machine's, at least.
    pub(super) clock_error: f64,
}

/// What a session for reading sees.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) role: String,
    /// Whether the session's transactions are read-only, whatever the server is.
    pub(super) is_guarded: bool,
    /// Whether the role may read the users. None where there is no such table.
    pub(super) may_read: Option<bool>,
}

/// Asks a server by a session of its own.
pub(super) async fn ask(url: &DatabaseUrl) -> Result<Server, DownReason> {
    let mut session = archipelago::connect(url).await?;
    let asked = (Instant::now(), SystemTime::now());
    let row = select((
        sql::<Text>("current_user::text"),
        sql::<Text>("current_setting('server_version')"),
        sql::<Bool>("pg_is_in_recovery()"),
        sql::<Nullable<Text>>(TLS),
        sql::<Integer>(SESSIONS_ALLOWED),
        sql::<Integer>(SESSIONS),
        sql::<Nullable<Array<Text>>>(MISSING_RIGHTS),
        sql::<BigInt>(CLOCK),
    ));
    let (role, version, is_replica, tls, sessions_allowed, sessions, missing_rights, clock) =
        row.get_result(&mut session).await?;
    let (round_trip, asked) = (asked.0.elapsed().as_secs_f64(), seconds_of(asked.1));
    let row = select((
        sql::<Array<Text>>(DENIED_FUNCTIONS),
        sql::<Bool>(SEES_STATISTICS),
        sql::<Array<Text>>(INVALID_INDEXES),
    ));
    let (denied_functions, sees_statistics, invalid_indexes) = row.get_result(&mut session).await?;
    // The functions of these may be denied.
    let is_paused = select(sql::<Bool>(IS_PAUSED)).get_result(&mut session).await;
    let sender = select(sql::<Nullable<Text>>(SENDER)).get_result(&mut session).await;

    let clock_error = clock_error(seconds_of_clock(clock) - asked, round_trip);
    Ok(Server {
        role,
        version,
        is_replica,
        tls,
        sessions_allowed,
        sessions,
        missing_rights,
        denied_functions,
        sees_statistics,
        sender: sender.unwrap_or_default(),
        is_paused: is_paused.unwrap_or_default(),
        invalid_indexes,
        clock_error,
    })
}

/// Asks by a session as the reads of an instance have it.
pub(super) async fn ask_by_a_read(replica: Replica<'_>) -> Result<Reading, Error> {
    let row = select((
        sql::<Text>("current_user::text"),
        sql::<Bool>("current_setting('default_transaction_read_only')::bool"),
        sql::<Nullable<Bool>>("has_table_privilege(to_regclass('users'), 'SELECT')"),
    ));
    // However far it lags.
    let replica = replica.fresh(Freshness::Any);
    let (role, is_guarded, may_read) =
        replica.get_result::<(String, bool, Option<bool>)>(row).await?;
    Ok(Reading { role, is_guarded, may_read })
}

/// The server read its clock at some moment of the round trip.
fn clock_error(since_asked: f64, round_trip: f64) -> f64 {
    if since_asked < 0.0 { since_asked } else { (since_asked - round_trip).max(0.0) }
}

fn seconds_of(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "a time of this century has 51 bits")]
fn seconds_of_clock(microseconds: i64) -> f64 {
    microseconds as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_wrong_by_what_the_round_trip_does_not_explain() {
        for (since_asked, round_trip, error) in
            [(0.1, 0.2, 0.0), (0.2, 0.2, 0.0), (5.2, 0.2, 5.0), (-3.0, 0.2, -3.0)]
        {
            let found = clock_error(since_asked, round_trip);
            assert!((found - error).abs() < 1e-9, "{since_asked}, {round_trip}: {found}");
        }
    }
}
