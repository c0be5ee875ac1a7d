//! Transactions on one connection: BEGIN, the work, COMMIT or ROLLBACK.

use diesel::QueryResult;
use diesel::connection::TransactionDepthChange;
use diesel_async::{
    AnsiTransactionManager, AsyncPgConnection, SimpleAsyncConnection, TransactionManager,
};
use futures_util::future::join;

use super::commit::{COMMIT, commit_lsn, warn_of_unknown_position};

/// Runs `reads` in a read-only transaction, whose statements all see one state of the database.
pub(crate) async fn read_only_transaction<T, E: From<diesel::result::Error>>(
    connection: &mut AsyncPgConnection,
    reads: impl AsyncFnOnce(&mut AsyncPgConnection) -> Result<T, E>,
) -> Result<T, E> {
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    let commit = AnsiTransactionManager::commit_transaction;
    let (value, ()) = in_transaction(connection, begin, reads, commit).await?;
    Ok(value)
}

/// Runs `work` in a transaction that may write. Returns the LSN behind its commit as well, if it
/// could be asked.
pub(crate) async fn transaction<T, E: From<diesel::result::Error>>(
    connection: &mut AsyncPgConnection,
    work: impl AsyncFnOnce(&mut AsyncPgConnection) -> Result<T, E>,
) -> Result<(T, Option<u64>), E> {
    in_transaction(connection, "BEGIN", work, commit).await
}

/// Begins with `begin`; ends with `commit` when `work` returns `Ok`, and rolls back when it returns
/// an error.
///
/// Diesel's own `transaction` takes only closures whose futures are `Send`. Those of handlers on an
/// Actix worker are not.
async fn in_transaction<T, C, E: From<diesel::result::Error>>(
    connection: &mut AsyncPgConnection,
    begin: &str,
    work: impl AsyncFnOnce(&mut AsyncPgConnection) -> Result<T, E>,
    commit: impl AsyncFnOnce(&mut AsyncPgConnection) -> QueryResult<C>,
) -> Result<(T, C), E> {
    AnsiTransactionManager::begin_transaction_sql(connection, begin).await?;
    let error = match work(connection).await {
        Ok(value) => match commit(connection).await {
            Ok(committed) => return Ok((value, committed)),
            Err(error) => error.into(),
        },
        Err(error) => error,
    };
    // A connection on which even this fails counts as broken, and closing it rolls back.
    let _ = AnsiTransactionManager::rollback_transaction(connection).await;
    Err(error)
}

/// Commits and asks for the LSN behind the commit, in one round trip.
async fn commit(connection: &mut AsyncPgConnection) -> QueryResult<Option<u64>> {
    let shared = &*connection;
    let (committed, lsn) = join((&mut &*shared).batch_execute(COMMIT), commit_lsn(shared)).await;
    committed?;
    let status = AnsiTransactionManager::transaction_manager_status_mut(connection);
    let depth = status.transaction_state()?;
    depth.change_transaction_depth(TransactionDepthChange::DecreaseDepth)?;
    Ok(lsn.inspect_err(warn_of_unknown_position).ok())
}
