//! The handle for reading: every method of it reads.

use std::sync::Mutex;
use std::time::Instant;

use diesel::dsl::Limit;
use diesel::query_builder::AsQuery;
use diesel::query_dsl::methods::LimitDsl;
use diesel_async::methods::LoadQuery;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::cluster::{Cluster, Member};
use crate::freshness::Need;
use crate::pool::Lease;
use crate::question::{Load, Ping, Question};
use crate::route::{Ask, CheckOut, Served, Way};
use crate::transaction::snapshot;
use crate::{Error, Freshness, LoadsAs, PlainSelect, Position, Reason, ServedBy, Snapshot};

/// Reads, from the nearest database that can serve them. What `repos.replica()` gives; `repos.repo_ord().reads()` gives one that
/// stays with its own.
///
/// A read goes to the region's own database; where that cannot be reached, or is further behind than the read allows, to the next
/// nearest, and in the end to the primary: once to each. All of them together may take as long as one statement may.
///
/// It is a small `Copy` value, and its methods take `self`: a `&self` method called `load` would lose to
/// [`RunQueryDsl::load`] wherever that trait is in scope. A read is one round trip, on a connection that the reads of a thread
/// share (see [`Pool`](crate::Pool)); the first of its kind on a connection is prepared there, at a round trip more.
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
    pub(crate) way: Way<'a>,
    pub(crate) reason: Reason,
    pub(crate) need: Need,
    pub(crate) or_stale: bool,
    pub(crate) hedged: bool,
}

impl<'a> Replica<'a> {
    pub(crate) fn near(cluster: &'a Cluster, order: &'static [usize], reason: Reason) -> Self {
        let need = cluster.max_lag().map_or(Need::ANY, Need::at_most);
        Self { way: Way::Through { cluster, order }, reason, need, or_stale: false, hedged: false }
    }

    /// Reads from this database and no other, however far behind it is. For generated code.
    #[must_use]
    pub fn only(member: &'a Member) -> Self {
        let need = Need { or_past: true, ..Need::ANY };
        Self { way: Way::Only(member), reason: Reason::Local, need, or_stale: false, hedged: false }
    }

    /// The same, for reads that must be so fresh. It adds to what was said before: the last limit in time and the latest position
    /// count; [`Freshness::Any`] takes it all back.
    #[must_use]
    pub fn fresh(mut self, freshness: Freshness) -> Self {
        self.need = self.need.and(freshness);
        self
    }

    /// The same, for reads that rather take an answer from a replica further behind than allowed, where no other can be reached,
    /// than none. Who serves it then says so ([`ServedBy::stale`]). What [`Freshness::AtLeast`] says holds all the same.
    #[must_use]
    pub fn or_stale(mut self) -> Self {
        self.or_stale = true;
        self
    }

    /// The same, for reads that are sent to a second database as well when the first takes longer than 99 of 100 of its reads of
    /// late. At most one read of twenty is.
    #[must_use]
    pub fn hedged(mut self) -> Self {
        self.hedged = true;
        self
    }

    /// Who is asked first, and why. After a failure it may be another one who serves.
    #[must_use]
    pub fn served_by(self) -> ServedBy {
        self.way.first().served_by(self.reason)
    }

    /// The rows of `query`.
    ///
    /// # Errors
    /// When no connection can be had, or the server refuses the query or does not answer in time.
    pub async fn load<U>(self, query: impl LoadsAs<U, Query: PlainSelect>) -> Result<Vec<U>, Error>
    where
        U: Send,
    {
        Ok(self.read(Load::new(query)).await?.value)
    }

    /// The rows of `query`, with who served them and the position that they show: for whoever carries positions to visitors and back.
    /// An Actix `Reader` does.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub async fn load_served<U>(
        self,
        query: impl LoadsAs<U, Query: PlainSelect>,
    ) -> Result<Served<Vec<U>>, Error>
    where
        U: Send,
    {
        self.read(Load::new(query)).await
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
        one(self.read(Load::new(query.limit(1))).await?.value)
    }

    /// The one row of `query`, or none.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub async fn optional<U>(
        self,
        query: impl LoadsAs<U, Query: PlainSelect>,
    ) -> Result<Option<U>, Error>
    where
        U: Send,
    {
        Ok(self.load(query).await?.into_iter().next())
    }

    /// The rows of a query that the compiler cannot see to be a read: raw SQL, or a UNION.
    ///
    /// Only the session stands guard here; it is read-only, also where this handle leads to the primary. The query is cloned, to be sent
    /// to the next database where the first breaks off.
    ///
    /// # Errors
    /// As [`load`](Self::load), and [`DatabaseErrorKind::ReadOnlyTransaction`](diesel::result::DatabaseErrorKind) for a write.
    pub async fn load_unchecked<'query, U>(
        self,
        query: impl LoadQuery<'query, AsyncPgConnection, U> + Clone + 'query,
    ) -> Result<Vec<U>, Error>
    where
        U: Send,
    {
        let load = async |lease: &mut Lease| {
            let query = query.clone();
            lease.statement(async |connection| Ok(query.load(&mut connection.inner).await?)).await
        };
        Ok(self.session(load).await?.value)
    }

    /// Several reads that see one state of the database: a read-only transaction, `REPEATABLE READ`.
    ///
    /// Costs a round trip more before the reads and one after. A standby may cancel it (40001) when the primary has removed
    /// rows that it still sees: `reads` then begins again at the next database, as it does where the connection breaks.
    ///
    /// # Errors
    /// What `reads` returns, and as [`load`](Self::load).
    pub async fn snapshot<T>(
        self,
        reads: impl AsyncFn(&mut Snapshot<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let work = async |lease: &mut Lease| {
            lease
                .transaction(async |connection| snapshot(&mut connection.inner, &reads).await)
                .await
        };
        Ok(self.session(work).await?.value)
    }

    /// Whether the database that is asked first shows everything up to `position`. One round trip, or none where it has shown so
    /// before.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn has_replayed(self, position: Position) -> Result<bool, Error> {
        let need = Need::ANY.and_at_least(Some(position));
        let verdict = self.way.first().reading.read(&Mutex::new(Ping), need).await?;
        Ok(verdict.is_ok())
    }

    /// Whether the database that is asked first answers: as [`Pool::ping`](crate::Pool::ping).
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(self) -> Result<(), Error> {
        self.way.first().reading.ping().await
    }

    /// Has the monitor look at the one who is asked first. Where that is the primary, also at the next one: a primary that is replaced
    /// does not know it, and who follows the new one shows it.
    pub(crate) fn watch(self) {
        if let Way::Through { cluster, order } = self.way {
            let first =
                order.iter().position(|index| *index != cluster.leader_index()).unwrap_or_default();
            order.iter().take(first + 1).for_each(|index| cluster.watch(*index));
        }
    }

    /// Asks one question, of the first who can answer.
    pub(crate) async fn read<Q: Question>(self, question: Q) -> Result<Served<Q::Answer>, Error> {
        self.through(&Ask(Mutex::new(question)), &[]).await
    }

    /// Works on a connection of its own to the first who can serve; from the beginning at the next one, where that breaks off. The
    /// position is that of the last question for it.
    pub(crate) async fn session<T>(
        self,
        work: impl AsyncFn(&mut Lease) -> Result<T, Error>,
    ) -> Result<Served<T>, Error> {
        let begun = Instant::now();
        let mut failed = Vec::new();
        let mut failure = None;
        loop {
            let Served { value: mut lease, by, .. } =
                match (self.through(&CheckOut, &failed).await, failure.take()) {
                    (Err(_), Some(error)) => return Err(error),
                    (served, _) => served?,
                };
            match work(&mut lease).await {
                Err(error)
                    if error.leads_elsewhere()
                        && begun.elapsed() < self.way.first().reading.timeouts().answer() =>
                {
                    lease.suspect();
                    failed.push(by.region);
                    failure = Some(error);
                }
                outcome => {
                    return Ok(Served {
                        value: outcome?,
                        by,
                        position: lease.position(lease.state().lsn),
                    });
                }
            }
        }
    }
}

/// The first row, or "no row" as an error.
pub(crate) fn one<U>(rows: Vec<U>) -> Result<U, Error> {
    rows.into_iter().next().ok_or(Error::Query(diesel::result::Error::NotFound))
}
