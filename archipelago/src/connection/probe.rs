//! Asks a server for a report of itself: role, timeline, position and age.

use std::str::FromStr;
use std::time::{Duration, Instant};

use diesel::pg::Pg;
use diesel::pg::data_types::PgLsn;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::{QueryResult, sql_types};
use diesel_async::AsyncPgConnection;
use tokio_postgres::types::PgLsn as Lsn;
use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};

use super::commit::COMMIT_LSN;
use crate::error::DownReason;
use crate::query::LoadsAs;
use crate::server::{ServerIdentity, ServerReport};

/// The whole report, in one row.
///
/// The timeline of a replica is the one that it receives: it replays what it has received, since it
/// would follow no other timeline. Where it receives nothing, or where the login role may not see
/// it (that takes `pg_read_all_stats`), the report names the timeline of the last checkpoint, which
/// is too low for some minutes after a promotion. Too low means that reads go elsewhere, never that
/// a write is missed.
///
/// The position of a primary is that of [its last commit](COMMIT_LSN): a commit is flushed before
/// others see it, unless its session does without. The subquery reads the role first. A primary
/// does not become a replica while it runs, so a primary's row is a primary's throughout. A
/// promotion in between leaves a replica's row whose position is too low at worst.
const REPORT: [&str; 3] = [
    "SELECT is_replica,
        CASE WHEN is_replica
            THEN coalesce(
                (SELECT received_tli FROM pg_stat_get_wal_receiver()),
                (SELECT greatest(timeline_id, min_recovery_end_timeline)
                     FROM pg_control_checkpoint(), pg_control_recovery())
            )
            ELSE ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int
        END,
        CASE WHEN is_replica THEN coalesce(pg_last_wal_replay_lsn(), '0/0') ELSE (",
    COMMIT_LSN,
    ") END,
        CASE WHEN is_replica
            THEN extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8
        END
    FROM (SELECT pg_is_in_recovery() AS is_replica OFFSET 0) AS role",
];

/// Which server it is: asked once, when a connection is opened.
const IDENTITY: &str = "SELECT system_identifier,
        (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint,
        pg_has_role('pg_read_all_stats', 'USAGE')
    FROM pg_control_system()";

/// The position of a replica. NULL where it was promoted: then the function's value stands still.
const REPLAYED_LSN: &str = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() END";

#[derive(Clone, Copy, QueryId)]
struct ReportQuery;

impl Query for ReportQuery {
    type SqlType = (
        sql_types::Bool,
        sql_types::Integer,
        sql_types::PgLsn,
        sql_types::Nullable<sql_types::Double>,
    );
}

impl QueryFragment<Pg> for ReportQuery {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        for part in REPORT {
            out.push_sql(part);
        }
        Ok(())
    }
}

#[derive(Clone, Copy, QueryId)]
struct ReplayedQuery;

impl Query for ReplayedQuery {
    type SqlType = sql_types::Nullable<sql_types::PgLsn>;
}

impl QueryFragment<Pg> for ReplayedQuery {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(REPLAYED_LSN);
        Ok(())
    }
}

/// Asks for the whole report, behind everything sent before. The future sends it when it is first
/// polled.
pub(super) fn report(
    connection: &AsyncPgConnection,
) -> impl Future<Output = QueryResult<ServerReport>> + Send + use<'_> {
    type Row = (bool, i32, PgLsn, Option<f64>);

    let asked = Instant::now();
    let rows = <ReportQuery as LoadsAs<Row>>::load(&ReportQuery, connection);
    async move {
        let row = rows.await?.into_iter().next().ok_or(diesel::NotFound)?;
        let (is_replica, timeline, PgLsn(lsn), age) = row;
        let (timeline, commit_age) = (timeline.unsigned_abs(), age.and_then(duration));
        Ok(ServerReport { is_replica, timeline, lsn, commit_age, asked })
    }
}

/// Asks a replica how far it has replayed. None where it is a primary now.
pub(super) async fn replayed(connection: &AsyncPgConnection) -> QueryResult<Option<u64>> {
    let rows = <ReplayedQuery as LoadsAs<Option<PgLsn>>>::load(&ReplayedQuery, connection).await?;
    Ok(rows.into_iter().next().flatten().map(|PgLsn(lsn)| lsn))
}

/// Sends `session` (commands that end with a semicolon) and asks for identity and report, in one
/// round trip.
pub(super) async fn identify(
    client: &Client,
    session: &str,
) -> Result<(ServerIdentity, ServerReport), DownReason> {
    let asked = Instant::now();
    let commands = format!("{session} {IDENTITY}; {}", REPORT.concat());
    let messages = client.simple_query(&commands).await?;
    let mut rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let (identity, report) = rows.next().zip(rows.next()).ok_or_else(incomplete)?;
    let age = report.get(3).and_then(|seconds| seconds.parse().ok());
    let report = ServerReport {
        is_replica: text(report, 0)? == "t",
        timeline: parsed(report, 1)?,
        lsn: parsed::<Lsn>(report, 2)?.into(),
        commit_age: age.and_then(duration),
        asked,
    };
    let identity = ServerIdentity {
        system: parsed(identity, 0)?,
        started: parsed(identity, 1)?,
        sees_timelines: text(identity, 2)? == "t",
    };
    Ok((identity, report))
}

/// A fast clock of the replica makes the age negative.
fn duration(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds.max(0.0)).ok()
}

fn incomplete() -> DownReason {
    DownReason::refused(&"the server did not identify itself")
}

fn text(row: &SimpleQueryRow, column: usize) -> Result<&str, DownReason> {
    row.get(column).ok_or_else(incomplete)
}

fn parsed<T: FromStr>(row: &SimpleQueryRow, column: usize) -> Result<T, DownReason> {
    let text = text(row, column)?;
    text.parse()
        .map_err(|_| DownReason::refused(&format!("the server's report of itself has `{text}`")))
}
