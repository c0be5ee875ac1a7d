//! The handle for writing. Only the primary's repo gives one.

use diesel_async::methods::{ExecuteDsl, LoadQuery};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::pool::Lease;
use crate::replica::found;
use crate::transaction::in_transaction;
use crate::{Committed, Error, Pool, Position, Reason, Replica, ServedBy, position};

/// Writes to the primary. What `repos.primary()` gives.
///
/// Every write returns a [`Committed`]: its value, and a position in the log that has the commit behind it. Asking for the
/// position is a round trip of its own after the commit.
#[derive(Clone, Copy, Debug)]
pub struct Primary<'a> {
    pool: &'a Pool,
    reads: &'a Pool,
}

impl<'a> Primary<'a> {
    /// A handle to the primary's two pools. For generated code.
    #[must_use]
    pub fn new(pool: &'a Pool, reads: &'a Pool) -> Self {
        Self { pool, reads }
    }

    /// Who serves the writes of this handle.
    #[must_use]
    pub fn served_by(self) -> ServedBy {
        self.reads(Reason::Primary).served_by()
    }

    /// Reads from the primary, which always shows the newest state, in a session that may not write.
    #[must_use]
    pub fn reads(self, reason: Reason) -> Replica<'a> {
        Replica::new(self.reads, reason)
    }

    /// Runs a statement and counts the rows it touched.
    ///
    /// # Errors
    /// When no connection can be had, or the server refuses the statement or does not answer in time. After
    /// [`Error::Timeout`] or a lost connection the write may have happened.
    pub async fn execute(self, statement: impl ExecuteDsl<AsyncPgConnection> + Send) -> Result<Committed<usize>, Error> {
        let mut lease = self.pool.checkout().await?;
        let value = lease.statement(async |connection| Ok(ExecuteDsl::execute(statement, connection).await?)).await?;
        Ok(committed(&mut lease, value).await)
    }

    /// Runs a statement that returns one row (`RETURNING`).
    ///
    /// # Errors
    /// As [`execute`](Self::execute), and [`NotFound`](diesel::result::Error::NotFound) without a row.
    pub async fn get_result<'query, U>(
        self,
        statement: impl LoadQuery<'query, AsyncPgConnection, U> + 'query,
    ) -> Result<Committed<U>, Error>
    where
        U: Send,
    {
        let mut lease = self.pool.checkout().await?;
        let value = lease.statement(async |connection| Ok(statement.get_result(connection).await?)).await?;
        Ok(committed(&mut lease, value).await)
    }

    /// Runs a statement that returns one row, or none: an UPDATE of a row that may be gone.
    ///
    /// # Errors
    /// As [`execute`](Self::execute).
    pub async fn optional<'query, U>(
        self,
        statement: impl LoadQuery<'query, AsyncPgConnection, U> + 'query,
    ) -> Result<Committed<Option<U>>, Error>
    where
        U: Send,
    {
        let mut lease = self.pool.checkout().await?;
        let value = found(lease.statement(async |connection| Ok(statement.get_result(connection).await?)).await)?;
        Ok(committed(&mut lease, value).await)
    }

    /// Runs `work` in a transaction: committed when it returns `Ok`, rolled back when it returns an error.
    ///
    /// The connection is Diesel's own; each statement is a round trip.
    ///
    /// # Errors
    /// What `work` returns, and as [`execute`](Self::execute).
    pub async fn transaction<T, E>(
        self,
        work: impl AsyncFnOnce(&mut AsyncPgConnection) -> Result<T, E>,
    ) -> Result<Committed<T>, E>
    where
        E: From<Error> + From<diesel::result::Error>,
    {
        let mut lease = self.pool.checkout().await?;
        let value = lease.transaction(async |connection| in_transaction(connection, "BEGIN", work).await).await?;
        Ok(committed(&mut lease, value).await)
    }
}

/// The write is certain now, so a failing question for its position does not fail it.
async fn committed<T>(lease: &mut Lease, value: T) -> Committed<T> {
    let position: Result<Position, Error> =
        lease.statement(async |connection| Ok(position::after_commit(connection).await?)).await;
    if let Err(error) = &position {
        tracing::warn!(%error, "committed, but the position of the commit is unknown");
    }
    Committed { value, position: position.ok() }
}
