//! Asks a server for a report of itself: role, timeline, position and age.

use std::str::FromStr;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use diesel::pg::Pg;
use diesel::pg::data_types::PgLsn;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::{QueryResult, sql_types};
use diesel_async::AsyncPgConnection;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::PgLsn as Lsn;
use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};

use crate::error::{DownReason, SessionRecord};
use crate::query::LoadsAs;
use crate::server::{LogLayout, ServerIdentity, ServerReport, own_clock};
use crate::settings::DatabaseUrl;

/// The whole report, in one row.
///
/// The timeline of a replica is the one that it receives: it replays what it has received, since it
/// would follow no other timeline. Where it receives nothing, or where the login role may not see
/// it (that takes `pg_read_all_stats`), the report names the timeline of the last checkpoint, which
/// is too low for some minutes after a promotion. Then reads go elsewhere, and an election does not
/// take it for evidence of an old primary.
///
/// The position of a primary is what it has inserted: a commit without `synchronous_commit` is
/// visible before it is flushed.
///
/// A replica shows a commit before its position passes it: the record of a commit that removes
/// files is in work for as long as they take. No record behind the position can have been shown where
/// everything received is replayed, replay is paused, or nothing is received any more and replay waits
/// for more. (The last chunk of a primary that died may end inside a record.) That is asked before
/// the position: what is asked first is never newer.
///
/// The last column counts the WAL senders: a primary knows best who streams from it. Every role sees
/// their rows. They are standbys, `pg_receivewal` and logical subscribers; what they are, and that one
/// sends a base backup, only a role with `pg_read_all_stats` sees.
///
/// The subquery reads the role first. A primary does not become a replica while it runs, so a
/// primary's row is a primary's throughout. A promotion in between leaves a replica's row whose
/// position is too low at worst.
const REPORT: &str = "SELECT is_replica,
        coalesce(CASE WHEN is_replica
            THEN coalesce(
                (SELECT received_tli FROM pg_stat_get_wal_receiver()),
                greatest(
                    (SELECT timeline_id FROM pg_control_checkpoint()),
                    (SELECT min_recovery_end_timeline FROM pg_control_recovery())
                )
            )
            ELSE ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int
        END, 0),
        CASE WHEN is_replica
            THEN coalesce(
                pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()
                    OR pg_get_wal_replay_pause_state() = 'paused'
                    OR (SELECT pid IS NULL FROM pg_stat_get_wal_receiver())
                        AND EXISTS (
                            SELECT FROM pg_stat_get_activity(NULL) WHERE backend_type = 'startup'
                                AND wait_event IN
                                    ('RecoveryWalStream', 'RecoveryRetrieveRetryInterval')
                        ),
                false
            )
            ELSE true
        END,
        coalesce(
            CASE WHEN is_replica THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END,
            '0/0'
        ),
        CASE WHEN is_replica
            THEN coalesce((SELECT pid IS NOT NULL FROM pg_stat_get_wal_receiver()), false)
            ELSE false
        END,
        (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
        CASE WHEN is_replica
            THEN (extract(epoch FROM pg_last_xact_replay_timestamp()) * 1000000)::bigint
        END,
        (SELECT count(*) FROM pg_stat_get_wal_senders() WHERE state IS DISTINCT FROM 'backup')
    FROM (SELECT pg_is_in_recovery() AS is_replica OFFSET 0) AS role";

/// Which server it is: asked once, when a connection is opened.
const IDENTITY: &str = "SELECT (SELECT system_identifier FROM pg_control_system()),
        (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint,
        pg_has_role('pg_read_all_stats', 'USAGE'),
        current_setting('wal_block_size'),
        pg_size_bytes(current_setting('wal_segment_size'))";

/// A session as it began.
pub(super) struct Session {
    /// The process of the server that began it. None where a pooler of sessions may have begun it.
    process: Option<i32>,
}

impl Session {
    pub(super) fn of(url: &DatabaseUrl, record: &SessionRecord) -> Self {
        Self { process: (!url.pools_sessions()).then(|| record.process()) }
    }

    /// SQL that tells whether the process that began the session runs it. A pooler has told a number
    /// of its own.
    pub(super) fn is_own(&self) -> String {
        self.process.map_or_else(
            || "true".to_owned(),
            |process| format!("pg_catalog.pg_backend_pid() = {process}"),
        )
    }
}

/// How far a primary has inserted.
const INSERTED_LSN: &str = "SELECT pg_current_wal_insert_lsn()";

/// Whether no record behind a replica's position can have been shown, and that position. The first is
/// NULL where only the whole report tells: nothing is received. Both are NULL where the replica was
/// promoted: then the functions' values stand still, or they fail.
///
/// Most reads wait for this question: it has no subquery. With the report's two, PostgreSQL would
/// take three times as long, though it hardly ever runs them.
const REPLAYED_LSN: &str = "SELECT
        CASE
            WHEN NOT pg_is_in_recovery() THEN NULL
            WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()
                OR pg_get_wal_replay_pause_state() = 'paused' THEN true
            WHEN (pg_stat_get_wal_receiver()).pid IS NOT NULL THEN false
        END,
        CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() END";

/// The functions of the questions that an operator may have revoked; how a question calls each, and
/// what stands in for a call that the login role may not make.
const REVOCABLE: [(&str, &str, &str); 14] = [
    ("pg_control_system()", "(SELECT system_identifier FROM pg_control_system())", "0::bigint"),
    ("pg_control_checkpoint()", "(SELECT timeline_id FROM pg_control_checkpoint())", "NULL::int"),
    (
        "pg_control_recovery()",
        "(SELECT min_recovery_end_timeline FROM pg_control_recovery())",
        "NULL::int",
    ),
    (
        "pg_stat_get_wal_receiver()",
        "(SELECT received_tli FROM pg_stat_get_wal_receiver())",
        "NULL::int",
    ),
    (
        "pg_stat_get_wal_receiver()",
        "(SELECT pid IS NOT NULL FROM pg_stat_get_wal_receiver())",
        "NULL::bool",
    ),
    (
        "pg_stat_get_wal_receiver()",
        "(SELECT pid IS NULL FROM pg_stat_get_wal_receiver())",
        "NULL::bool",
    ),
    ("pg_walfile_name(pg_lsn)", "pg_walfile_name(pg_current_wal_insert_lsn())", "NULL::text"),
    ("pg_current_wal_insert_lsn()", "pg_current_wal_insert_lsn()", "NULL::pg_lsn"),
    ("pg_last_wal_receive_lsn()", "pg_last_wal_receive_lsn()", "NULL::pg_lsn"),
    ("pg_get_wal_replay_pause_state()", "pg_get_wal_replay_pause_state()", "NULL::text"),
    ("pg_last_wal_replay_lsn()", "pg_last_wal_replay_lsn()", "NULL::pg_lsn"),
    ("pg_last_xact_replay_timestamp()", "pg_last_xact_replay_timestamp()", "NULL::timestamptz"),
    (
        "pg_stat_get_activity(integer)",
        "pg_stat_get_activity(NULL)",
        "(SELECT NULL AS backend_type, NULL AS wait_event) AS hidden",
    ),
    (
        "pg_stat_get_wal_senders()",
        "(SELECT count(*) FROM pg_stat_get_wal_senders() WHERE state IS DISTINCT FROM 'backup')",
        "NULL::bigint",
    ),
];

/// The questions that a login role may ask.
#[derive(Clone)]
pub(crate) struct Questions {
    identity: Arc<str>,
    report: Arc<str>,
    /// The functions that the role may not call.
    denied: Vec<&'static str>,
}

impl Questions {
    /// All of them.
    fn all() -> Self {
        static ALL: LazyLock<Questions> = LazyLock::new(|| Questions::without(Vec::new()));

        ALL.clone()
    }

    /// The questions without these functions: what they would tell is then unknown.
    fn without(denied: Vec<&'static str>) -> Self {
        let reduced = |question: &str| {
            let revoked = REVOCABLE.iter().filter(|(function, ..)| denied.contains(function));
            revoked.fold(question.to_owned(), |text, (_, call, other)| text.replace(call, other))
        };
        Self { identity: reduced(IDENTITY).into(), report: reduced(REPORT).into(), denied }
    }

    /// Asks which functions the role may call.
    async fn allowed(client: &Client) -> Result<Self, DownReason> {
        let mut functions: Vec<_> = REVOCABLE.iter().map(|(function, ..)| *function).collect();
        functions.dedup();
        let may_call = |function: &&str| format!("has_function_privilege('{function}', 'EXECUTE')");
        let query = functions.iter().map(may_call).collect::<Vec<_>>().join(", ");
        let query = format!("SELECT {query}");
        let messages = client.simple_query(&query).await?;
        let row = rows(&messages).next().ok_or_else(incomplete)?;
        let is_denied = |(column, _): &(usize, &'static str)| row.get(*column) != Some("t");
        let denied = functions.into_iter().enumerate().filter(is_denied);
        Ok(Self::without(denied.map(|(_, function)| function).collect()))
    }

    /// The functions that the role may not call.
    pub(super) fn denied(&self) -> &[&'static str] {
        &self.denied
    }
}

struct ReportQuery(Arc<str>);

type ReportTypes = (
    sql_types::Bool,
    sql_types::Integer,
    sql_types::Bool,
    sql_types::PgLsn,
    sql_types::Bool,
    sql_types::BigInt,
    sql_types::Nullable<sql_types::BigInt>,
    sql_types::Nullable<sql_types::BigInt>,
);

impl Query for ReportQuery {
    type SqlType = ReportTypes;
}

impl QueryId for ReportQuery {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Pg> for ReportQuery {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(&self.0);
        Ok(())
    }
}

#[derive(Clone, Copy, QueryId)]
struct InsertedQuery;

impl Query for InsertedQuery {
    type SqlType = sql_types::PgLsn;
}

impl QueryFragment<Pg> for InsertedQuery {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(INSERTED_LSN);
        Ok(())
    }
}

#[derive(Clone, Copy, QueryId)]
struct ReplayedQuery;

impl Query for ReplayedQuery {
    type SqlType = (sql_types::Nullable<sql_types::Bool>, sql_types::Nullable<sql_types::PgLsn>);
}

impl QueryFragment<Pg> for ReplayedQuery {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(REPLAYED_LSN);
        Ok(())
    }
}

/// Asks for the whole report, behind everything sent before. The future sends it when it is first
/// polled.
pub(super) fn report<'c>(
    connection: &'c AsyncPgConnection,
    questions: &Questions,
    layout: LogLayout,
) -> impl Future<Output = QueryResult<ServerReport>> + Send + use<'c> {
    type Row = (bool, i32, bool, PgLsn, bool, i64, Option<i64>, Option<i64>);

    let asked = Instant::now();
    let rows =
        <ReportQuery as LoadsAs<Row>>::load(&ReportQuery(questions.report.clone()), connection);
    async move {
        let row = rows.await?.into_iter().next().ok_or(diesel::NotFound)?;
        let answered = Instant::now();
        let (
            is_replica,
            timeline,
            is_settled,
            PgLsn(lsn),
            is_streaming,
            clock,
            committed,
            followers,
        ) = row;
        Ok(ServerReport {
            is_replica,
            timeline: timeline.unsigned_abs(),
            lsn: if is_replica { lsn } else { layout.end_of_record(lsn) },
            is_settled,
            is_streaming,
            followers: followers.and_then(|count| count.try_into().ok()),
            clock,
            own_clock: own_clock(),
            committed,
            asked,
            answered,
        })
    }
}

/// Asks a primary how far it has inserted.
pub(super) async fn inserted(connection: &AsyncPgConnection) -> QueryResult<u64> {
    let rows = <InsertedQuery as LoadsAs<PgLsn>>::load(&InsertedQuery, connection).await?;
    let PgLsn(lsn) = rows.into_iter().next().ok_or(diesel::NotFound)?;
    Ok(lsn)
}

/// Asks a replica how far it has replayed, and whether no record behind that can have been shown.
/// None where only the [`report`] tells.
pub(super) async fn replayed(connection: &AsyncPgConnection) -> QueryResult<Option<(u64, bool)>> {
    type Row = (Option<bool>, Option<PgLsn>);

    let rows = <ReplayedQuery as LoadsAs<Row>>::load(&ReplayedQuery, connection).await?;
    let (is_settled, lsn) = rows.into_iter().next().ok_or(diesel::NotFound)?;
    Ok(lsn.zip(is_settled).map(|(PgLsn(lsn), is_settled)| (lsn, is_settled)))
}

/// Sends `setup` (commands that end with a semicolon) and asks for identity and report, in one
/// round trip. Where the role may not call a function of the questions, two more round trips leave
/// out what it would tell; two more again for a right that is lost meanwhile.
pub(super) async fn identify(
    client: &Client,
    setup: &str,
    session: &Session,
) -> Result<(ServerIdentity, ServerReport, Questions), DownReason> {
    let mut questions = Questions::all();
    loop {
        match ask_identity(client, setup, session, &questions).await {
            Err(reason) if is_denied(&reason) => {
                let allowed = Questions::allowed(client).await?;
                if allowed.denied == questions.denied {
                    return Err(reason);
                }
                questions = allowed;
            }
            outcome => return outcome.map(|(identity, report)| (identity, report, questions)),
        }
    }
}

fn is_denied(reason: &DownReason) -> bool {
    matches!(
        reason,
        DownReason::Refused { sqlstate: Some(code), .. }
            if code == SqlState::INSUFFICIENT_PRIVILEGE.code()
    )
}

async fn ask_identity(
    client: &Client,
    setup: &str,
    session: &Session,
    questions: &Questions,
) -> Result<(ServerIdentity, ServerReport), DownReason> {
    let asked = Instant::now();
    let is_own = session.is_own();
    let commands = format!("{setup} {}, {is_own}; {}", questions.identity, questions.report);
    let messages = client.simple_query(&commands).await?;
    // The session's commands may return a row as well.
    let rows: Vec<_> = rows(&messages).collect();
    let [.., identity, report] = rows[..] else { return Err(incomplete()) };
    if text(identity, 5)? != "t" {
        return Err(DownReason::Pooler);
    }
    let identity = ServerIdentity {
        system: parsed(identity, 0)?,
        started: parsed(identity, 1)?,
        sees_timelines: text(identity, 2)? == "t",
        layout: LogLayout { page: parsed(identity, 3)?, segment: parsed(identity, 4)? },
    };
    let is_replica = text(report, 0)? == "t";
    let lsn = parsed::<Lsn>(report, 3)?.into();
    let report = ServerReport {
        is_replica,
        timeline: parsed(report, 1)?,
        is_settled: text(report, 2)? == "t",
        lsn: if is_replica { lsn } else { identity.layout.end_of_record(lsn) },
        is_streaming: text(report, 4)? == "t",
        clock: parsed(report, 5)?,
        own_clock: own_clock(),
        committed: report.get(6).and_then(|committed| committed.parse().ok()),
        followers: report.get(7).and_then(|count| count.parse().ok()),
        asked,
        answered: Instant::now(),
    };
    Ok((identity, report))
}

/// Fails where a pooler leads to the server.
pub(super) async fn refuse_pooler(client: &Client, session: &Session) -> Result<(), DownReason> {
    let messages = client.simple_query(&format!("SELECT {}", session.is_own())).await?;
    let row = rows(&messages).next().ok_or_else(incomplete)?;
    if text(row, 0)? == "t" { Ok(()) } else { Err(DownReason::Pooler) }
}

pub(super) fn rows(messages: &[SimpleQueryMessage]) -> impl Iterator<Item = &SimpleQueryRow> {
    messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    })
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
