//! The handle for writing. Only the primary's repo gives one.

use diesel::pg::Pg;
use diesel::query_builder::{QueryFragment, QueryId};
use diesel_async::AsyncPgConnection;
use futures_util::future::join;

use crate::question::{Execute, Load, Write};
use crate::replica::one;
use crate::transaction::written;
use crate::{Committed, Error, LoadsAs, Pool, Position, Reason, Replica, ServedBy, position};

/// Writes to the primary. What `repos.primary()` gives.
///
/// Every write returns a [`Committed`]: its value, and a position in the log that has the commit behind it. The question for the
/// position goes down the connection right behind the statement, so that both take one round trip.
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
    pub async fn execute(self, statement: impl QueryFragment<Pg> + QueryId + Send) -> Result<Committed<usize>, Error> {
        self.write(Execute(statement)).await
    }

    /// Runs a statement that returns one row (`RETURNING`).
    ///
    /// # Errors
    /// As [`execute`](Self::execute), and [`NotFound`](diesel::result::Error::NotFound) without a row.
    pub async fn get_result<U>(self, statement: impl LoadsAs<U>) -> Result<Committed<U>, Error>
    where
        U: Send,
    {
        let Committed { value, position } = self.write(Load::new(statement)).await?;
        Ok(Committed { value: one(value)?, position })
    }

    /// Runs a statement that returns one row, or none: an UPDATE of a row that may be gone.
    ///
    /// # Errors
    /// As [`execute`](Self::execute).
    pub async fn optional<U>(self, statement: impl LoadsAs<U>) -> Result<Committed<Option<U>>, Error>
    where
        U: Send,
    {
        let Committed { value, position } = self.write(Load::new(statement)).await?;
        Ok(Committed { value: value.into_iter().next(), position })
    }

    /// Runs `work` in a transaction: committed when it returns `Ok`, rolled back when it returns an error.
    ///
    /// The connection is Diesel's own. Each statement is a round trip, and so is BEGIN; COMMIT and the question for the position
    /// share one. Statements that do not need each other's answers can share one too, as Diesel pipelines over a shared reference:
    ///
    /// ```no_run
    /// # archipelago::repos! { primary home; replica near }
    /// # diesel::table! { users (id) { id -> BigInt, name -> Text } }
    /// # async fn example(repos: Repos) -> Result<(), archipelago::Error> {
    /// use diesel::prelude::*;
    /// use diesel_async::RunQueryDsl;
    ///
    /// let rename = |id: i64, name: &'static str| diesel::update(users::table.find(id)).set(users::name.eq(name));
    /// let swapped = repos.primary().transaction(async |connection| {
    ///     let (mut one, mut other) = (&*connection, &*connection);
    ///     let (ada, bob) = futures_util::join!(rename(1, "Bob").execute(&mut one), rename(2, "Ada").execute(&mut other));
    ///     Ok::<_, archipelago::Error>(ada? + bob?)
    /// });
    /// assert_eq!(swapped.await?.value, 2);
    /// # Ok(())
    /// # }
    /// ```
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
        let (value, position) = lease.transaction(async |connection| written(connection, work).await).await?;
        Ok(committed(value, position.map_err(Error::from)))
    }

    /// One round trip: the statement, which commits by itself, and behind it the question for the position.
    async fn write<Q: Write>(self, write: Q) -> Result<Committed<Q::Answer>, Error> {
        let mut lease = self.pool.checkout().await?;
        let mut value = Err(Error::Timeout { region: self.pool.info().code, waited: self.pool.timeouts().answer() });
        let position = lease.statement(async |connection| {
            let connection = &*connection;
            let position = position::after_commit(connection);
            let write_it = async { value = write.send(connection).await };
            if write.is_sent_at_once() {
                Ok(join(write_it, position).await.1?)
            } else {
                write_it.await;
                Ok(position.await?)
            }
        });
        let position = position.await;
        Ok(committed(value?, position))
    }
}

/// The write is certain now, so a failing question for its position does not fail it.
fn committed<T>(value: T, position: Result<Position, Error>) -> Committed<T> {
    if let Err(error) = &position {
        tracing::warn!(%error, "committed, but the position of the commit is unknown");
    }
    Committed { value, position: position.ok() }
}
