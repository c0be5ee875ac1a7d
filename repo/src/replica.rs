//! The handle for reading: every method of it reads.

use diesel::dsl::Limit;
use diesel::query_builder::AsQuery;
use diesel::query_dsl::methods::LimitDsl;
use diesel_async::methods::LoadQuery;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::pool::Lease;
use crate::transaction::in_transaction;
use crate::{Error, PlainSelect, Pool, Position, Reason, ServedBy, Snapshot, position};

/// Reads from one region's database. What `repos.replica()` gives.
///
/// It is a small `Copy` value, and its methods take `self`: a `&self` method called `load` would lose to
/// [`RunQueryDsl::load`] wherever that trait is in scope. Each method checks out a connection, which waits at most
/// [`Timeouts::checkout`](crate::Timeouts::checkout), and makes one round trip.
///
/// There is no method that writes, and [`PlainSelect`] keeps writing queries from those that read:
///
/// ```compile_fail
/// # archipelago::repos! { primary home; replica near }
/// # diesel::table! { users (id) { id -> BigInt, name -> Text } }
/// # async fn example(repos: Repos) -> Result<(), archipelago::Error> {
/// repos.replica().load::<(i64, String)>(diesel::delete(users::table)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Replica<'a> {
    pool: &'a Pool,
    reason: Reason,
}

impl<'a> Replica<'a> {
    /// A handle to `pool`, chosen for `reason`. For generated code.
    #[must_use]
    pub fn new(pool: &'a Pool, reason: Reason) -> Self {
        Self { pool, reason }
    }

    /// Who serves the reads of this handle, and why.
    #[must_use]
    pub fn served_by(self) -> ServedBy {
        ServedBy { region: self.pool.info().code, role: self.pool.info().role, reason: self.reason }
    }

    /// The rows of `query`.
    ///
    /// # Errors
    /// When no connection can be had, or the server refuses the query or does not answer in time.
    pub async fn load<'query, U>(
        self,
        query: impl AsQuery<Query: PlainSelect> + LoadQuery<'query, AsyncPgConnection, U> + 'query,
    ) -> Result<Vec<U>, Error>
    where
        U: Send,
    {
        self.lease().await?.statement(async |connection| Ok(query.load(connection).await?)).await
    }

    /// The one row of `query`.
    ///
    /// # Errors
    /// As [`load`](Self::load), and [`NotFound`](diesel::result::Error::NotFound) without a row.
    pub async fn get_result<'query, U>(
        self,
        query: impl AsQuery<Query: PlainSelect> + LoadQuery<'query, AsyncPgConnection, U> + 'query,
    ) -> Result<U, Error>
    where
        U: Send,
    {
        self.lease().await?.statement(async |connection| Ok(query.get_result(connection).await?)).await
    }

    /// The first row of `query`, which is asked with `LIMIT 1`.
    ///
    /// # Errors
    /// As [`get_result`](Self::get_result).
    pub async fn first<'query, U, Q>(self, query: Q) -> Result<U, Error>
    where
        U: Send,
        Q: AsQuery<Query: PlainSelect> + LimitDsl,
        Limit<Q>: LoadQuery<'query, AsyncPgConnection, U> + Send + 'query,
    {
        let query = query.limit(1);
        self.lease().await?.statement(async |connection| Ok(query.get_result(connection).await?)).await
    }

    /// The one row of `query`, or none.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub async fn optional<'query, U>(
        self,
        query: impl AsQuery<Query: PlainSelect> + LoadQuery<'query, AsyncPgConnection, U> + 'query,
    ) -> Result<Option<U>, Error>
    where
        U: Send,
    {
        found(self.get_result(query).await)
    }

    /// The rows of a query that the compiler cannot see to be a read: raw SQL, or a UNION.
    ///
    /// Only the session stands guard here; it is read-only, also where this handle leads to the primary.
    ///
    /// # Errors
    /// As [`load`](Self::load), and [`DatabaseErrorKind::ReadOnlyTransaction`](diesel::result::DatabaseErrorKind) for a write.
    pub async fn load_unchecked<'query, U>(
        self,
        query: impl LoadQuery<'query, AsyncPgConnection, U> + 'query,
    ) -> Result<Vec<U>, Error>
    where
        U: Send,
    {
        self.lease().await?.statement(async |connection| Ok(query.load(connection).await?)).await
    }

    /// Several reads that see one state of the database: a read-only transaction, `REPEATABLE READ`.
    ///
    /// Costs a round trip more before the reads and one after. A standby may cancel it (40001) when the primary has removed
    /// rows that it still sees; keep it short.
    ///
    /// # Errors
    /// What `reads` returns, and as [`load`](Self::load).
    pub async fn snapshot<T>(self, reads: impl AsyncFnOnce(&mut Snapshot<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let mut lease = self.lease().await?;
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let reads = async |connection: &mut AsyncPgConnection| reads(&mut Snapshot::new(connection)).await;
        lease.transaction(async |connection| in_transaction(connection, begin, reads).await).await
    }

    /// Whether reads of this handle show everything up to `position`. One round trip.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub async fn has_replayed(self, position: Position) -> Result<bool, Error> {
        self.lease().await?.statement(async |connection| Ok(position::is_replayed(connection, position).await?)).await
    }

    /// Whether the database answers: as [`Pool::ping`].
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(self) -> Result<(), Error> {
        self.pool.ping().await
    }

    async fn lease(self) -> Result<Lease, Error> {
        self.pool.checkout().await
    }
}

/// "No row" as a value instead of an error.
pub(crate) fn found<U>(answer: Result<U, Error>) -> Result<Option<U>, Error> {
    match answer {
        Ok(row) => Ok(Some(row)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
