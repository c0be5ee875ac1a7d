//! COMMIT, and the request for the position behind it.

use diesel::pg::Pg;
use diesel::pg::data_types::PgLsn;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::{QueryResult, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::server::LogLayout;

/// The flushed position if the last commit was flushed, and the inserted one. Asked on the same
/// connection after a commit, the first of them that is not NULL is at or after the end of its
/// record: inside the transaction the answer would be too early. The system identifier and the
/// timeline are known from the opening of the connection: neither changes under a primary's session.
///
/// With `synchronous_commit=off` only the *insert* position is certain to be behind the commit.
/// Otherwise the commit was flushed, and the flushed position is better: behind it there may be
/// records without a commit (a page pruned by a SELECT), which an idle primary does not send for
/// seconds. [`COMMIT`] preserves the setting of the transaction.
///
/// Every write waits for this question: it has no subquery, whose start costs as much as the rest.
const COMMIT_LSN: &str = "SELECT CASE
        WHEN current_setting('synchronous_commit') <> 'off'
            AND coalesce(current_setting('archipelago.synchronous_commit', true), '') <> 'off'
        THEN pg_current_wal_flush_lsn()
    END, pg_current_wal_insert_lsn()";

/// Ends a transaction, and keeps its `synchronous_commit` for [`COMMIT_LSN`]. In a transaction that
/// has failed, COMMIT alone would succeed and roll back; here the SELECT fails first.
pub(crate) const COMMIT: &str = "SELECT set_config(
        'archipelago.synchronous_commit', current_setting('synchronous_commit'), false
    ); COMMIT";

#[derive(Clone, Copy, QueryId)]
struct CommitLsnQuery;

impl Query for CommitLsnQuery {
    type SqlType = (sql_types::Nullable<sql_types::PgLsn>, sql_types::PgLsn);
}

// Not `sql_query`, which Diesel prepares anew each time, at a round trip of its own.
impl QueryFragment<Pg> for CommitLsnQuery {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(COMMIT_LSN);
        Ok(())
    }
}

/// Asks for an LSN at or after the last commit of this connection.
pub(crate) async fn commit_lsn(
    mut connection: &AsyncPgConnection,
    layout: LogLayout,
) -> QueryResult<u64> {
    let row = CommitLsnQuery.get_result::<(Option<PgLsn>, PgLsn)>(&mut connection).await?;
    let (flushed, PgLsn(inserted)) = row;
    Ok(flushed.map_or_else(|| layout.end_of_record(inserted), |PgLsn(lsn)| lsn))
}

/// The commit is certain, so a failed request for its position does not fail the write.
pub(crate) fn warn_of_unknown_position(error: &impl std::fmt::Display) {
    tracing::warn!(
        %error,
        "committed, but the position of the commit is unknown, so that reads that must show it \
         go to the primary; if the role lacks the right, run GRANT EXECUTE ON FUNCTION \
         pg_current_wal_flush_lsn(), pg_current_wal_insert_lsn() TO the role"
    );
}
