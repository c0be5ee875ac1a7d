//! Positions in the primary's log: what a write returns, and what a replica must have replayed to show it.

use std::fmt;
use std::str::FromStr;

use diesel::pg::Pg;
use diesel::pg::data_types::PgLsn;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::{QueryResult, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tokio_postgres::types::PgLsn as Lsn;

/// A place in the primary's write-ahead log (an LSN). Prints as `PostgreSQL` does: `0/16B3748`.
///
/// Positions order the writes of one primary. They say nothing across a promotion: after one, a position of the old
/// primary's may lie behind a new one's without its write being there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(Lsn);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The text is no log position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no log position; it looks like 0/16B3748")]
pub struct NoPosition;

impl FromStr for Position {
    type Err = NoPosition;

    fn from_str(text: &str) -> Result<Self, NoPosition> {
        text.parse().map(Self).map_err(|_| NoPosition)
    }
}

/// What a write gave, and where its commit stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed<T> {
    /// What the statement or the transaction returned.
    pub value: T,
    /// A position that has the commit behind it. None when the write is certain and only the question for its position failed.
    pub position: Option<Position>,
}

/// The position, asked on the connection that has just committed. A transaction that is not over has no position: asked inside
/// one this would be too early.
///
/// With `synchronous_commit=off` only the *insert* position is behind the commit for certain. Otherwise the commit was flushed,
/// and the flushed position is better: behind it there may be records that no commit follows (a page pruned by a SELECT), which
/// an idle primary does not send for seconds. When the last record ends with its page or its segment, the insert position is
/// already behind the header of the next one (24 bytes, or 40), where no record ends; hence the subtraction.
#[derive(Clone, Copy, QueryId)]
struct AfterCommit;

impl Query for AfterCommit {
    type SqlType = sql_types::PgLsn;
}

// Not `sql_query`, which Diesel prepares anew each time, at a round trip of its own.
impl QueryFragment<Pg> for AfterCommit {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "SELECT CASE
                 WHEN current_setting('synchronous_commit') <> 'off' THEN pg_current_wal_flush_lsn()
                 WHEN (lsn - '0/0') % segment = 40 THEN lsn - 40
                 WHEN (lsn - '0/0') % page = 24 THEN lsn - 24
                 ELSE lsn
             END
             FROM (SELECT pg_current_wal_insert_lsn() AS lsn,
                          pg_size_bytes(current_setting('wal_segment_size')) AS segment,
                          current_setting('wal_block_size')::bigint AS page) AS now",
        );
        Ok(())
    }
}

/// Asks for the position behind a commit, on its connection.
pub(crate) async fn after_commit(mut connection: &AsyncPgConnection) -> QueryResult<Position> {
    let position: PgLsn = AfterCommit.get_result(&mut connection).await?;
    Ok(Position(position.0.into()))
}

/// Whether a server shows everything up to a position: a standby that replayed it, or a server that is no standby. Both are asked
/// in one row, since the replayed position freezes at a promotion.
#[derive(Clone, Copy, QueryId)]
pub(crate) struct IsReplayed(PgLsn);

impl From<Position> for IsReplayed {
    fn from(Position(lsn): Position) -> Self {
        Self(PgLsn(lsn.into()))
    }
}

impl Query for IsReplayed {
    type SqlType = sql_types::Bool;
}

impl QueryFragment<Pg> for IsReplayed {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("SELECT NOT pg_is_in_recovery() OR coalesce(pg_last_wal_replay_lsn() >= ");
        out.push_bind_param::<sql_types::PgLsn, _>(&self.0)?;
        out.push_sql(", false)");
        Ok(())
    }
}
