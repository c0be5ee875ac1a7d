//! Transactions on one connection: BEGIN, the work, COMMIT or ROLLBACK.

use diesel::QueryResult;
use diesel::connection::TransactionDepthChange;
use diesel_async::{
    AnsiTransactionManager, AsyncPgConnection, SimpleAsyncConnection, TransactionManager,
};
use futures_util::future::join;

use super::Connection;
use super::commit::{COMMIT, commit_lsn, warn_of_unknown_position};
use crate::error::{Error, in_session};
use crate::server::LogLayout;

/// A read-only transaction whose statements all see one state of the database.
const BEGIN_SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// How far a transaction is isolated from those that run at the same time:
/// <https://www.postgresql.org/docs/current/transaction-iso.html>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Isolation {
    /// Each statement sees what was committed before it began.
    ReadCommitted,
    /// All statements see one state. A write to a row that has changed since fails (40001).
    RepeatableRead,
    /// As if all transactions ran one after another. One that cannot fails (40001).
    Serializable,
}

impl Isolation {
    /// The statement that begins such a transaction. None is the default of the login role.
    fn begin(isolation: Option<Self>) -> &'static str {
        match isolation {
            None => "BEGIN",
            Some(Self::ReadCommitted) => "BEGIN ISOLATION LEVEL READ COMMITTED",
            Some(Self::RepeatableRead) => "BEGIN ISOLATION LEVEL REPEATABLE READ",
            Some(Self::Serializable) => "BEGIN ISOLATION LEVEL SERIALIZABLE",
        }
    }
}

/// Begins a transaction that may write.
pub(crate) async fn begin(
    connection: &mut Connection,
    isolation: Option<Isolation>,
) -> Result<(), Error> {
    begin_with(Isolation::begin(isolation), connection).await
}

/// Begins a read-only transaction of one state.
pub(crate) async fn begin_snapshot(connection: &mut Connection) -> Result<(), Error> {
    begin_with(BEGIN_SNAPSHOT, connection).await
}

/// Ends a read-only transaction.
pub(crate) async fn commit_snapshot(connection: &mut Connection) -> Result<(), Error> {
    let sent = connection.sent();
    let committed = AnsiTransactionManager::commit_transaction(&mut connection.inner).await;
    committed.map_err(|error| connection.failed(error, sent))
}

/// Runs `work` in the transaction that was [begun](begin). Returns the LSN behind its commit as
/// well, if it could be asked.
pub(crate) async fn transaction<T, E: From<diesel::result::Error>>(
    connection: &mut Connection,
    work: impl AsyncFnOnce(&mut AsyncPgConnection) -> Result<T, E>,
) -> Result<(T, Option<u64>), E> {
    let layout = connection.identity().layout;
    in_transaction(connection, work, async |inner| commit(inner, layout).await).await
}

/// Runs `reads` in a read-only transaction, whose statements all see one state of the database.
pub(crate) async fn read_only_transaction<T>(
    connection: &mut Connection,
    reads: impl AsyncFnOnce(&mut AsyncPgConnection) -> Result<T, Error>,
) -> Result<T, Error> {
    begin_snapshot(connection).await?;
    let commit = AnsiTransactionManager::commit_transaction;
    let (value, ()) = in_transaction(connection, reads, commit).await?;
    Ok(value)
}

async fn begin_with(sql: &str, connection: &mut Connection) -> Result<(), Error> {
    let sent = connection.sent();
    let begun = AnsiTransactionManager::begin_transaction_sql(&mut connection.inner, sql).await;
    begun.map_err(|error| connection.failed(error, sent))
}

/// Ends with `commit` when `work` returns `Ok`, and rolls back when it returns an error.
///
/// Diesel's own `transaction` takes only closures whose futures are `Send`. Those of handlers on an
/// Actix worker are not.
async fn in_transaction<T, C, E: From<diesel::result::Error>>(
    connection: &mut Connection,
    work: impl AsyncFnOnce(&mut AsyncPgConnection) -> Result<T, E>,
    commit: impl AsyncFnOnce(&mut AsyncPgConnection) -> QueryResult<C>,
) -> Result<(T, C), E> {
    let (session, connection) = (connection.session().clone(), &mut connection.inner);
    session.record_transaction(true);
    in_session(session.clone(), async move {
        let error = match work(connection).await {
            Ok(value) => {
                session.record_transaction(false);
                match commit(connection).await {
                    Ok(committed) => return Ok((value, committed)),
                    Err(error) => error.into(),
                }
            }
            Err(error) => error,
        };
        // A connection on which even this fails counts as broken, and closing it rolls back.
        let _ = AnsiTransactionManager::rollback_transaction(connection).await;
        session.record_transaction(false);
        Err(error)
    })
    .await
}

/// Commits and asks for the LSN behind the commit, in one round trip.
async fn commit(connection: &mut AsyncPgConnection, layout: LogLayout) -> QueryResult<Option<u64>> {
    let shared = &*connection;
    let mut committing = shared;
    let (committed, lsn) = join(committing.batch_execute(COMMIT), commit_lsn(shared, layout)).await;
    committed?;
    let status = AnsiTransactionManager::transaction_manager_status_mut(connection);
    let depth = status.transaction_state()?;
    depth.change_transaction_depth(TransactionDepthChange::DecreaseDepth)?;
    Ok(lsn.inspect_err(warn_of_unknown_position).ok())
}
