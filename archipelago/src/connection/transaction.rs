//! Transactions: one that writes at the primary, and one whose reads all see the same state of the database.

use diesel::QueryResult;
use diesel::connection::TransactionDepthChange;
use diesel_async::{
    AnsiTransactionManager, AsyncPgConnection, SimpleAsyncConnection, TransactionManager,
};
use futures_util::future::join;

use crate::replica::one;
use crate::{Error, LoadsAs, PlainSelect, position};

/// A read-only transaction. What [`Replica::snapshot`](crate::Replica::snapshot) hands to its closure.
pub struct Snapshot<'a> {
    connection: &'a mut AsyncPgConnection,
}

impl Snapshot<'_> {
    /// The rows of `query`. One round trip.
    ///
    /// # Errors
    /// When the server refuses the query or ends the transaction.
    pub async fn load<U: Send>(
        &mut self,
        query: impl LoadsAs<U, Query: PlainSelect>,
    ) -> Result<Vec<U>, Error> {
        Ok(loaded(query, self.connection).await?)
    }

    /// The one row of `query`. One round trip.
    ///
    /// # Errors
    /// As [`load`](Self::load), and [`NotFound`](diesel::result::Error::NotFound) without a row.
    pub async fn get_result<U: Send>(
        &mut self,
        query: impl LoadsAs<U, Query: PlainSelect>,
    ) -> Result<U, Error> {
        one(self.load(query).await?)
    }

    /// The one row of `query`, or none. One round trip.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub async fn optional<U: Send>(
        &mut self,
        query: impl LoadsAs<U, Query: PlainSelect>,
    ) -> Result<Option<U>, Error> {
        Ok(self.load(query).await?.into_iter().next())
    }
}

async fn loaded<Q: LoadsAs<U>, U>(query: Q, connection: &AsyncPgConnection) -> QueryResult<Vec<U>> {
    Q::load(&query.as_query(), connection).await
}

/// A transaction whose reads see one state of the database.
pub(crate) async fn snapshot<T>(
    connection: &mut AsyncPgConnection,
    reads: impl AsyncFnOnce(&mut Snapshot<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    let reads =
        async |connection: &mut AsyncPgConnection| reads(&mut Snapshot { connection }).await;
    let (value, ()) =
        in_transaction(connection, begin, reads, AnsiTransactionManager::commit_transaction)
            .await?;
    Ok(value)
}

/// A transaction that writes, and the place in the log behind its commit.
pub(crate) async fn written<T, E: From<diesel::result::Error>>(
    connection: &mut AsyncPgConnection,
    work: impl AsyncFnOnce(&mut AsyncPgConnection) -> Result<T, E>,
) -> Result<(T, QueryResult<u64>), E> {
    in_transaction(connection, "BEGIN", work, commit).await
}

/// Begins with `begin`; ends with `commit` when `work` returns `Ok`, and rolls back when it returns an error.
///
/// Diesel's own `transaction` takes only closures whose futures are `Send`, which a handler's on an Actix worker are not.
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
    // Where even that fails the connection counts as broken, and closing it rolls back.
    let _ = AnsiTransactionManager::rollback_transaction(connection).await;
    Err(error)
}

/// Commits and asks for the position, in one round trip.
async fn commit(connection: &mut AsyncPgConnection) -> QueryResult<QueryResult<u64>> {
    let shared = &*connection;
    let (committed, position) =
        join((&mut &*shared).batch_execute(position::COMMIT), position::after_commit(shared)).await;
    committed?;
    let status = AnsiTransactionManager::transaction_manager_status_mut(connection);
    status.transaction_state()?.change_transaction_depth(TransactionDepthChange::DecreaseDepth)?;
    Ok(position)
}
