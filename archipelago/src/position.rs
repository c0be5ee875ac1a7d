//! Positions in the primary's log: what a write returns, and what a replica must have replayed to show it.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use diesel::pg::Pg;
use diesel::pg::data_types::PgLsn;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::{QueryResult, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tokio_postgres::types::PgLsn as Lsn;

/// A place in the history of a database: which database (the system identifier of its cluster), on which timeline, and where in the
/// write-ahead log (an LSN). Prints as `7437092810298376213-1-0/16B3748`.
///
/// Positions are ordered within one history only, that is on one timeline. A promotion begins a new timeline: a place on the old
/// one may lie behind a place on the new one without its write being there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    pub(crate) system: u64,
    pub(crate) timeline: u32,
    pub(crate) lsn: u64,
}

impl Position {
    /// The timeline: 1 at first, and a higher number after each promotion.
    #[must_use]
    pub fn timeline(self) -> u32 {
        self.timeline
    }

    /// The one that a visitor who has seen both must be shown: the later one, where they can be ordered, else the one of the later
    /// timeline. `other` where they are of different databases.
    #[must_use]
    pub fn or_later(self, other: Self) -> Self {
        let is_later =
            self.system == other.system && (self.timeline, self.lsn) > (other.timeline, other.lsn);
        if is_later { self } else { other }
    }
}

impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let is_one_history = self.system == other.system && self.timeline == other.timeline;
        is_one_history.then(|| self.lsn.cmp(&other.lsn))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.system, self.timeline, Lsn::from(self.lsn))
    }
}

/// The text is no position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no position; it looks like 7437092810298376213-1-0/16B3748")]
pub struct NoPosition;

impl FromStr for Position {
    type Err = NoPosition;

    fn from_str(text: &str) -> Result<Self, NoPosition> {
        let mut parts = text.splitn(3, '-');
        let mut next = || parts.next().ok_or(NoPosition);
        let (system, timeline, lsn) = (next()?, next()?, next()?);
        Ok(Self {
            system: system.parse().map_err(|_| NoPosition)?,
            timeline: timeline.parse().map_err(|_| NoPosition)?,
            lsn: lsn.parse::<Lsn>().map_err(|_| NoPosition)?.into(),
        })
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

/// The position behind a commit, asked on its connection. A transaction that is not over has no position: asked inside one this
/// would be too early. It is only the place in the log: a server's system identifier and a primary's timeline do not change under an
/// open session, so they are asked when it is opened.
///
/// With `synchronous_commit=off` only the *insert* position is behind the commit for certain. Otherwise the commit was flushed,
/// and the flushed position is better: behind it there may be records that no commit follows (a page pruned by a SELECT), which
/// an idle primary does not send for seconds. A transaction may have had a setting of its own, which [`COMMIT`] leaves behind. When the last record ends with its page or its segment, the insert position is
/// already behind the header of the next one (24 bytes, or 40), where no record ends; hence the subtraction.
pub(crate) const WRITTEN: &str = "SELECT CASE
        WHEN current_setting('synchronous_commit') <> 'off'
            AND coalesce(current_setting('archipelago.synchronous_commit', true), '') <> 'off'
        THEN pg_current_wal_flush_lsn()
        WHEN (lsn - '0/0') % segment = 40 THEN lsn - 40
        WHEN (lsn - '0/0') % page = 24 THEN lsn - 24
        ELSE lsn
    END
    FROM (SELECT pg_current_wal_insert_lsn() AS lsn,
                 pg_size_bytes(current_setting('wal_segment_size')) AS segment,
                 current_setting('wal_block_size')::bigint AS page) AS now";

/// Ends a transaction, and keeps for [`WRITTEN`] what was set for it alone. COMMIT alone succeeds in a transaction that has failed, and
/// rolls it back.
pub(crate) const COMMIT: &str = "SELECT set_config('archipelago.synchronous_commit', current_setting('synchronous_commit'), false); COMMIT";

#[derive(Clone, Copy, QueryId)]
struct AfterCommit;

impl Query for AfterCommit {
    type SqlType = sql_types::PgLsn;
}

// Not `sql_query`, which Diesel prepares anew each time, at a round trip of its own.
impl QueryFragment<Pg> for AfterCommit {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(WRITTEN);
        Ok(())
    }
}

/// Asks for the place in the log behind a commit.
pub(crate) async fn after_commit(mut connection: &AsyncPgConnection) -> QueryResult<u64> {
    let lsn: PgLsn = AfterCommit.get_result(&mut connection).await?;
    Ok(lsn.0)
}
