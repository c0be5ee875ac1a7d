//! Transactions: one that writes at the primary, and one whose reads all see the same state of the database.

use diesel::query_builder::AsQuery;
use diesel_async::methods::LoadQuery;
use diesel_async::{AnsiTransactionManager, AsyncPgConnection, RunQueryDsl, TransactionManager};

use crate::replica::found;
use crate::{Error, PlainSelect};

/// A read-only transaction. What [`Replica::snapshot`](crate::Replica::snapshot) hands to its closure.
pub struct Snapshot<'a> {
    connection: &'a mut AsyncPgConnection,
}

impl<'a> Snapshot<'a> {
    pub(crate) fn new(connection: &'a mut AsyncPgConnection) -> Self {
        Self { connection }
    }

    /// The rows of `query`. One round trip.
    ///
    /// # Errors
    /// When the server refuses the query or ends the transaction.
    pub async fn load<'query, U>(
        &mut self,
        query: impl AsQuery<Query: PlainSelect> + LoadQuery<'query, AsyncPgConnection, U> + 'query,
    ) -> Result<Vec<U>, Error>
    where
        U: Send,
    {
        Ok(query.load(self.connection).await?)
    }

    /// The one row of `query`. One round trip.
    ///
    /// # Errors
    /// As [`load`](Self::load), and [`NotFound`](diesel::result::Error::NotFound) without a row.
    pub async fn get_result<'query, U>(
        &mut self,
        query: impl AsQuery<Query: PlainSelect> + LoadQuery<'query, AsyncPgConnection, U> + 'query,
    ) -> Result<U, Error>
    where
        U: Send,
    {
        Ok(query.get_result(self.connection).await?)
    }

    /// The one row of `query`, or none. One round trip.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub async fn optional<'query, U>(
        &mut self,
        query: impl AsQuery<Query: PlainSelect> + LoadQuery<'query, AsyncPgConnection, U> + 'query,
    ) -> Result<Option<U>, Error>
    where
        U: Send,
    {
        found(self.get_result(query).await)
    }
}

/// Begins with `begin`; commits when `work` returns `Ok`, and rolls back when it returns an error.
///
/// Diesel's own `transaction` takes only closures whose futures are `Send`, which a handler's on an Actix worker are not.
pub(crate) async fn in_transaction<T, E: From<diesel::result::Error>>(
    connection: &mut AsyncPgConnection,
    begin: &str,
    work: impl AsyncFnOnce(&mut AsyncPgConnection) -> Result<T, E>,
) -> Result<T, E> {
    AnsiTransactionManager::begin_transaction_sql(connection, begin).await?;
    match work(connection).await {
        Ok(value) => {
            AnsiTransactionManager::commit_transaction(connection).await?;
            Ok(value)
        }
        Err(error) => {
            // Where even that fails the connection counts as broken, and closing it rolls back.
            let _ = AnsiTransactionManager::rollback_transaction(connection).await;
            Err(error)
        }
    }
}
