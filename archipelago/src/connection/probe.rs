//! What a server says of itself, in one row: what it is, on which timeline, how far, and how old that is.

use std::time::{Duration, Instant};

use diesel::pg::Pg;
use diesel::pg::data_types::PgLsn;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::{QueryResult, sql_types};
use diesel_async::AsyncPgConnection;
use tokio_postgres::types::PgLsn as Lsn;
use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};

use crate::Role;
use crate::connect::ConnectError;
use crate::position::WRITTEN;
use crate::question::LoadsAs;

/// Which server: nothing about it goes backwards while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    /// The system identifier of its cluster, which all its replicas share.
    pub(crate) system: u64,
    /// When it was started, in microseconds of its own clock.
    pub(crate) started: i64,
    /// Whether the role may see on which timeline a replica is.
    pub(crate) tells_timelines: bool,
}

/// How a server stood when it was asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct State {
    pub(crate) role: Role,
    /// A replica's may be too low: see [`STATE`].
    pub(crate) timeline: u32,
    /// Everything up to here is shown.
    pub(crate) lsn: u64,
    /// It shows everything that the primary had committed at this moment. None where nobody can tell.
    pub(crate) as_of: Option<Instant>,
    /// When it was asked for all this.
    pub(crate) asked: Instant,
}

/// What a server says; `behind` is the age of the last commit that a replica has replayed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said {
    pub(crate) is_replica: bool,
    pub(crate) timeline: u32,
    pub(crate) lsn: u64,
    pub(crate) behind: Option<Duration>,
    /// When it was asked, before it answered.
    pub(crate) asked: Instant,
}

/// A replica's timeline is the one that it receives; what it has received it will replay on that timeline's history, since it would
/// follow no other. Where it receives nothing, or where the role may not see it (it takes `pg_read_all_stats`), it is the one
/// that its pages were last written on, which is too low for some minutes after a promotion. Too low means that somebody else is asked, and never
/// that a write is missed.
///
/// What a primary shows was [written](WRITTEN): a commit is flushed before anybody sees it, unless its session does without. The role
/// is asked first, as it changes in one direction only: a primary does not become a replica while it runs.
const STATE: [&str; 3] = [
    "SELECT is_replica,
        CASE WHEN is_replica
            THEN coalesce(
                (SELECT received_tli FROM pg_stat_get_wal_receiver()),
                (SELECT greatest(timeline_id, min_recovery_end_timeline) FROM pg_control_checkpoint(), pg_control_recovery())
            )
            ELSE ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int
        END,
        CASE WHEN is_replica THEN coalesce(pg_last_wal_replay_lsn(), '0/0') ELSE (",
    WRITTEN,
    ") END,
        CASE WHEN is_replica THEN extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8 END
    FROM (SELECT pg_is_in_recovery() AS is_replica OFFSET 0) AS role",
];

#[derive(Clone, Copy, QueryId)]
struct AskState;

impl Query for AskState {
    type SqlType = (
        sql_types::Bool,
        sql_types::Integer,
        sql_types::PgLsn,
        sql_types::Nullable<sql_types::Double>,
    );
}

impl QueryFragment<Pg> for AskState {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        for part in STATE {
            out.push_sql(part);
        }
        Ok(())
    }
}

type Row = (bool, i32, PgLsn, Option<f64>);

/// Asks a server for its state, behind whatever was sent before. It is sent when the future is first polled.
pub(crate) fn ask(
    connection: &AsyncPgConnection,
) -> impl Future<Output = QueryResult<Said>> + Send + use<'_> {
    let asked = Instant::now();
    let rows = <AskState as LoadsAs<Row>>::load(&AskState, connection);
    async move {
        let (is_replica, timeline, PgLsn(lsn), behind) =
            rows.await?.into_iter().next().ok_or(diesel::NotFound)?;
        Ok(Said {
            is_replica,
            timeline: timeline.unsigned_abs(),
            lsn,
            behind: behind.and_then(age),
            asked,
        })
    }
}

#[derive(Clone, Copy, QueryId)]
struct AskReplayed;

impl Query for AskReplayed {
    type SqlType = sql_types::Nullable<sql_types::PgLsn>;
}

impl QueryFragment<Pg> for AskReplayed {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        // Behind a promotion this stands still.
        out.push_sql("SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() END");
        Ok(())
    }
}

/// Asks a replica how far it has replayed; none when it is a replica no more.
pub(crate) async fn ask_replayed(connection: &AsyncPgConnection) -> QueryResult<Option<u64>> {
    let rows = <AskReplayed as LoadsAs<Option<PgLsn>>>::load(&AskReplayed, connection).await?;
    Ok(rows.into_iter().next().flatten().map(|PgLsn(lsn)| lsn))
}

/// Sends `session` (commands that end with a semicolon) and asks who the server is, in one round trip.
pub(crate) async fn greet(client: &Client, session: &str) -> Result<(Server, Said), ConnectError> {
    let asked = Instant::now();
    let who = "SELECT system_identifier, (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint,
               pg_has_role('pg_read_all_stats', 'USAGE') FROM pg_control_system()";
    let messages = client.simple_query(&format!("{session} {who}; {}", STATE.concat())).await?;
    let mut rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let (server, state) = rows
        .next()
        .zip(rows.next())
        .ok_or_else(|| ConnectError::new(&"the server did not say who it is"))?;
    let said = Said {
        is_replica: text(state, 0)? == "t",
        timeline: parsed(state, 1)?,
        lsn: parsed::<Lsn>(state, 2)?.into(),
        behind: state.get(3).and_then(|seconds| seconds.parse().ok()).and_then(age),
        asked,
    };
    let tells_timelines = text(server, 2)? == "t";
    Ok((Server { system: parsed(server, 0)?, started: parsed(server, 1)?, tells_timelines }, said))
}

/// A clock that goes fast makes it negative.
fn age(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds.max(0.0)).ok()
}

fn text(row: &SimpleQueryRow, column: usize) -> Result<&str, ConnectError> {
    row.get(column).ok_or_else(|| ConnectError::new(&"the server did not say who it is"))
}

fn parsed<T: std::str::FromStr>(row: &SimpleQueryRow, column: usize) -> Result<T, ConnectError> {
    let text = text(row, column)?;
    text.parse().map_err(|_| ConnectError::new(&format!("the server says of itself `{text}`")))
}
