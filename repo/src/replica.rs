//! The handle for reading: every method of it reads.

use std::sync::Mutex;

use diesel::dsl::Limit;
use diesel::query_builder::AsQuery;
use diesel::query_dsl::methods::LimitDsl;
use diesel_async::methods::LoadQuery;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::position::IsReplayed;
use crate::question::{Load, Question};
use crate::transaction::snapshot;
use crate::{Error, LoadsAs, PlainSelect, Pool, Position, Reason, ServedBy, Snapshot};

/// Reads from one region's database. What `repos.replica()` gives.
///
/// It is a small `Copy` value, and its methods take `self`: a `&self` method called `load` would lose to
/// [`RunQueryDsl::load`] wherever that trait is in scope. A read is one round trip, on a connection that the reads of a thread
/// share (see [`Pool`]); the first of its kind on a connection is prepared there, at a round trip more.
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
    pub async fn load<U>(self, query: impl LoadsAs<U, Query: PlainSelect>) -> Result<Vec<U>, Error>
    where
        U: Send,
    {
        self.ask(&Mutex::new(Load::new(query))).await
    }

    /// The one row of `query`.
    ///
    /// # Errors
    /// As [`load`](Self::load), and [`NotFound`](diesel::result::Error::NotFound) without a row.
    pub async fn get_result<U>(self, query: impl LoadsAs<U, Query: PlainSelect>) -> Result<U, Error>
    where
        U: Send,
    {
        one(self.load(query).await?)
    }

    /// The first row of `query`, which is asked with `LIMIT 1`.
    ///
    /// # Errors
    /// As [`get_result`](Self::get_result).
    pub async fn first<U, Q>(self, query: Q) -> Result<U, Error>
    where
        U: Send,
        Q: AsQuery<Query: PlainSelect> + LimitDsl,
        Limit<Q>: LoadsAs<U>,
    {
        one(self.ask(&Mutex::new(Load::new(query.limit(1)))).await?)
    }

    /// The one row of `query`, or none.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub async fn optional<U>(self, query: impl LoadsAs<U, Query: PlainSelect>) -> Result<Option<U>, Error>
    where
        U: Send,
    {
        Ok(self.load(query).await?.into_iter().next())
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
        self.pool.checkout().await?.statement(async |connection| Ok(query.load(connection).await?)).await
    }

    /// Several reads that see one state of the database: a read-only transaction, `REPEATABLE READ`.
    ///
    /// Costs a round trip more before the reads and one after. A standby may cancel it (40001) when the primary has removed
    /// rows that it still sees; keep it short.
    ///
    /// # Errors
    /// What `reads` returns, and as [`load`](Self::load).
    pub async fn snapshot<T>(self, reads: impl AsyncFnOnce(&mut Snapshot<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let mut lease = self.pool.checkout().await?;
        lease.transaction(async |connection| snapshot(connection, reads).await).await
    }

    /// Whether reads of this handle show everything up to `position`. One round trip.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub async fn has_replayed(self, position: Position) -> Result<bool, Error> {
        one(self.ask(&Mutex::new(Load::new(IsReplayed::from(position)))).await?)
    }

    /// Whether the database answers: as [`Pool::ping`].
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(self) -> Result<(), Error> {
        self.pool.ping().await
    }

    pub(crate) async fn ask<Q: Question>(self, question: &Mutex<Q>) -> Result<Q::Answer, Error> {
        self.pool.ask(question).await
    }
}

/// The first row, or "no row" as an error.
pub(crate) fn one<U>(rows: Vec<U>) -> Result<U, Error> {
    rows.into_iter().next().ok_or(Error::Query(diesel::result::Error::NotFound))
}
