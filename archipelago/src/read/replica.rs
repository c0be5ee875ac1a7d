//! `Replica`, the handle for reading; at the primary too, in a read-only session.

use std::time::Instant;

use diesel::dsl::Limit;
use diesel::pg::Pg;
use diesel::query_builder::{AsQuery, QueryFragment};
use diesel::query_dsl::methods::LimitDsl;
use diesel_async::methods::LoadQuery;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::attempts::Attempts;
use super::operation::{CheckOutConnection, RunQuery};
use super::plan::{Candidates, ReadPlan};
use super::result::ReadResult;
use super::run::run;
use super::snapshot::{Snapshot, snapshot};
use crate::cluster::{Cluster, Member};
use crate::connection::{Load, Ping, ReadOutcome, Request};
use crate::error::{Error, NextRead};
use crate::pool::Checkout;
use crate::position::Position;
use crate::query::{LoadsAs, PlainSelect, first_row, sql};
use crate::region::{Reason, Role, ServedBy};
use crate::server::{Freshness, Requirement};

/// Reads, from the nearest database that can serve them. `repos.replica()` returns one;
/// `repos.repo_ord().reads()` returns one that reads from its own database only.
///
/// A read goes to the region's own database. Where that is down, or further behind than the read
/// allows, the read goes to the next nearest, and at last to the primary: once to each. All
/// attempts together may take as long as one statement.
///
/// A `Replica` is a small `Copy` value, and its methods take `self`: a `&self` method called `load`
/// would lose to [`RunQueryDsl::load`] wherever that trait is in scope. A read is one round trip,
/// on a connection that the reads of a thread share (see [`Pool`](crate::Pool)). The first query of
/// its kind on a connection is prepared there, at one round trip more.
///
/// There is no method that writes, and [`PlainSelect`] refuses writing queries:
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
    pub(crate) plan: ReadPlan<'a>,
}

impl<'a> Replica<'a> {
    /// Reads from the first database of `order` that can serve them; the primary is the last.
    /// `order` holds indices of [`RegionSet::REGIONS`](crate::RegionSet::REGIONS). For generated
    /// code.
    #[must_use]
    pub fn near(cluster: &'a Cluster, order: &'static [usize], reason: Reason) -> Self {
        Self { plan: ReadPlan::ordered(cluster, order, reason) }
    }

    /// Reads from this database only, however far behind it is. For generated code.
    #[must_use]
    pub fn only(member: &'a Member) -> Self {
        Self { plan: ReadPlan::pinned(member) }
    }

    /// Requires a freshness, in addition to what was required before: the last limit in time and
    /// the latest position count. [`Freshness::Any`] takes all of it back.
    #[must_use]
    pub fn fresh(mut self, freshness: Freshness) -> Self {
        self.plan.requirement = self.plan.requirement.and(freshness);
        self
    }

    /// Allows a stale answer: if no database that can be reached is fresh enough, a replica that
    /// lags more than allowed may answer. The answer then says so ([`ServedBy::stale`]). A position
    /// required by [`Freshness::AtLeast`] holds all the same.
    #[must_use]
    pub fn or_stale(mut self) -> Self {
        self.plan.or_stale = true;
        self
    }

    /// The database that is asked first, and why. After a failure another one may serve.
    #[must_use]
    pub fn served_by(self) -> ServedBy {
        self.plan.first().served_by(self.plan.reason)
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

    /// The rows of `query`, the database that served them, and the position that they show: for
    /// programs that carry positions to visitors and back. An Actix `Reader` does that itself.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub async fn load_served<U>(
        self,
        query: impl LoadsAs<U, Query: PlainSelect>,
    ) -> Result<ReadResult<Vec<U>>, Error>
    where
        U: Send,
    {
        self.read(Load::new(query)).await
    }

    /// The first row of `query`.
    ///
    /// # Errors
    /// As [`load`](Self::load), and [`NotFound`](diesel::result::Error::NotFound) without a row.
    pub async fn get_result<U>(self, query: impl LoadsAs<U, Query: PlainSelect>) -> Result<U, Error>
    where
        U: Send,
    {
        first_row(self.load(query).await?)
    }

    /// The first row of `query`, which is sent with `LIMIT 1`.
    ///
    /// # Errors
    /// As [`get_result`](Self::get_result).
    pub async fn first<U, Q>(self, query: Q) -> Result<U, Error>
    where
        U: Send,
        Q: AsQuery<Query: PlainSelect> + LimitDsl,
        Limit<Q>: LoadsAs<U>,
    {
        first_row(self.read(Load::new(query.limit(1))).await?.value)
    }

    /// The first row of `query`, or None.
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

    /// The rows of a query that the compiler cannot recognise as a read: raw SQL, or a UNION.
    ///
    /// Only the read-only session stops a write here, also where this handle leads to the primary.
    /// The query is cloned, to be sent to the next database if the first breaks off.
    ///
    /// # Errors
    /// As [`load`](Self::load), and
    /// [`DatabaseErrorKind::ReadOnlyTransaction`](diesel::result::DatabaseErrorKind) for a write.
    pub async fn load_unchecked<'query, U>(
        self,
        query: impl LoadQuery<'query, AsyncPgConnection, U>
        + AsQuery<Query: QueryFragment<Pg>>
        + Clone
        + 'query,
    ) -> Result<Vec<U>, Error>
    where
        U: Send,
    {
        let load = async |checkout: &mut Checkout| {
            let query = query.clone();
            checkout
                .within_statement_limit(async |connection| {
                    let sent = connection.sent();
                    let rows = query.load(&mut connection.inner).await;
                    rows.map_err(|error| connection.failed(error, sent))
                })
                .await
        };
        let outcome = self.on_checkout(load).await;
        let rows = outcome.map_err(|error| error.in_statement(|| sql(&query.as_query())));
        Ok(rows?.value)
    }

    /// Several reads of one state of the database: a read-only transaction, `REPEATABLE READ`.
    ///
    /// Costs one round trip more before the reads and one after. A standby may cancel the
    /// transaction (40001) when the primary has removed rows that it still sees. Then, or when the
    /// connection breaks, `reads` begins again at the next database.
    ///
    /// # Errors
    /// What `reads` returns, and as [`load`](Self::load).
    pub async fn snapshot<T>(
        self,
        reads: impl AsyncFn(&mut Snapshot<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let work = async |checkout: &mut Checkout| {
            checkout
                .within_transaction_limit(async |connection| snapshot(connection, &reads).await)
                .await
        };
        Ok(self.on_checkout(work).await?.value)
    }

    /// Whether the database that is asked first shows everything up to `position`. One round trip,
    /// or none if it has shown so before.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn has_replayed(self, position: Position) -> Result<bool, Error> {
        let requirement = Requirement::ANY.and_at_least(Some(position));
        let outcome = self.plan.first().reading.read(&mut Ping, requirement).await?;
        Ok(matches!(outcome, ReadOutcome::Answered(_)))
    }

    /// Asks the first database for an empty answer: as [`Pool::ping`](crate::Pool::ping).
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn ping(self) -> Result<(), Error> {
        self.plan.first().reading.ping().await
    }

    /// Has the monitor check the database that is asked first. If that is the leader, the monitor
    /// also checks the nearest replica: a superseded primary does not know of a new timeline, and a
    /// replica shows it.
    pub(crate) fn watch(self) {
        if let Candidates::Ordered { cluster, order } = self.plan.candidates {
            let leader = cluster.leader_index();
            let first_replica = order.iter().position(|index| *index != leader).unwrap_or_default();
            order.iter().take(first_replica + 1).for_each(|index| cluster.watch(*index));
        }
    }

    /// Sends one request to the first database that can serve it.
    pub(crate) async fn read<R: Request>(self, request: R) -> Result<ReadResult<R::Output>, Error> {
        run(self.plan, &mut RunQuery(request), &mut Attempts::default()).await
    }

    /// Runs `work` on a connection of its own to the first database that can serve it. If that
    /// breaks off, `work` begins again at the next one. The position is that of the last probe.
    pub(crate) async fn on_checkout<T>(
        self,
        work: impl AsyncFn(&mut Checkout) -> Result<T, Error>,
    ) -> Result<ReadResult<T>, Error> {
        let begun = Instant::now();
        let limit = self.plan.first().reading.timeouts().answer();
        let mut attempts = Attempts::default();
        let mut repeats = 0;
        loop {
            let ReadResult { value: mut checkout, served_by, .. } =
                run(self.plan, &mut CheckOutConnection, &mut attempts).await?;
            let error = match work(&mut checkout).await {
                Ok(value) => {
                    let position = checkout.position(checkout.state().shown());
                    return Ok(ReadResult { value, served_by, position });
                }
                Err(error) => error,
            };
            let is_replica = checkout.state().role == Role::Replica;
            let next = error.next_read(is_replica);
            let is_late = begun.elapsed() >= limit;
            if next != NextRead::FINAL {
                checkout.request_check();
            }
            if repeats < next.repeats && !is_late {
                repeats += 1;
                continue;
            }
            let is_pinned = matches!(self.plan.candidates, Candidates::Pinned(_));
            if is_pinned || is_late && attempts.tried.is_empty() {
                return Err(error);
            }
            attempts.failed(served_by.region, is_replica, error)?;
            if is_late {
                return Err(attempts.all_failed());
            }
        }
    }
}
