//! Several reads of one state of the database.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use diesel_async::AsyncPgConnection;

use crate::connection::{Connection, read_only_transaction};
use crate::error::{Error, SessionRecord};
use crate::query::{LoadsAs, PlainSelect, first_row, sql};

/// A read-only transaction. [`Replica::snapshot`](crate::Replica::snapshot) hands it to its
/// closure.
///
/// Its own methods take what the compiler knows to be reads. It derefs to Diesel's connection, for
/// functions that take one: `names(&mut *snapshot).await`. The server refuses a write there, and the
/// connection is closed behind the snapshot, as
/// [`Replica::connection`](crate::Replica::connection) says.
pub struct Snapshot<'a> {
    connection: &'a mut AsyncPgConnection,
    session: Arc<SessionRecord>,
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

impl Deref for Snapshot<'_> {
    type Target = AsyncPgConnection;

    fn deref(&self) -> &AsyncPgConnection {
        self.session.end_after_use();
        self.connection
    }
}

impl DerefMut for Snapshot<'_> {
    fn deref_mut(&mut self) -> &mut AsyncPgConnection {
        self.session.end_after_use();
        self.connection
    }
}

async fn load<Q: LoadsAs<U>, U>(query: Q, connection: &AsyncPgConnection) -> Result<Vec<U>, Error> {
    let query = query.as_query();
    let rows = Q::load(&query, connection).await;
    rows.map_err(|error| Error::from(error).in_statement(|| sql(&query)))
}

/// Runs `reads` on one state of the database.
pub(super) async fn snapshot<T>(
    connection: &mut Connection,
    reads: impl AsyncFnOnce(&mut Snapshot<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let session = connection.session().clone();
    let reads = async |connection: &mut AsyncPgConnection| {
        reads(&mut Snapshot { connection, session }).await
    };
    read_only_transaction(connection, reads).await
}
