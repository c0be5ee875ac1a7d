//! Several reads of one state of the database.

use std::fmt;

use diesel_async::AsyncPgConnection;

use crate::connection::{Connection, read_only_transaction};
use crate::error::Error;
use crate::query::{LoadsAs, PlainSelect, first_row, sql};

/// A read-only transaction. [`Replica::snapshot`](crate::Replica::snapshot) hands it to its
/// closure.
pub struct Snapshot<'a> {
    connection: &'a mut AsyncPgConnection,
}

impl fmt::Debug for Snapshot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").finish_non_exhaustive()
    }
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
        load(query, self.connection).await
    }

    /// The first row of `query`. One round trip.
    ///
    /// # Errors
    /// As [`load`](Self::load), and [`NotFound`](diesel::result::Error::NotFound) without a row.
    pub async fn get_result<U: Send>(
        &mut self,
        query: impl LoadsAs<U, Query: PlainSelect>,
    ) -> Result<U, Error> {
        first_row(self.load(query).await?)
    }

    /// The first row of `query`, or None. One round trip.
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

async fn load<Q: LoadsAs<U>, U>(query: Q, connection: &AsyncPgConnection) -> Result<Vec<U>, Error> {
    let query = query.as_query();
    let rows = Q::load(&query, connection).await;
    rows.map_err(|error| Error::from(error).in_statement(|| sql(&query)))
}

/// Runs `reads` on one state of the database.
pub(crate) async fn snapshot<T>(
    connection: &mut Connection,
    reads: impl AsyncFnOnce(&mut Snapshot<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let reads =
        async |connection: &mut AsyncPgConnection| reads(&mut Snapshot { connection }).await;
    read_only_transaction(connection, reads).await
}
