//! `Replica`, the handle for reading; at the primary too, in a read-only session.

use std::future::Ready;
use std::time::Instant;

use diesel::dsl::Limit;
use diesel::query_builder::AsQuery;
use diesel::query_dsl::methods::LimitDsl;
use diesel_async::AsyncPgConnection;
use futures_util::stream::BoxStream;

use super::attempts::Attempts;
use super::checked_out::run_on_checkout;
use super::operation::{Operation, RunQuery};
use super::plan::{Candidates, ReadPlan, Visitor};
use super::result::ReadResult;
use super::run::run;
use super::snapshot::{Snapshot, snapshot};
use super::stream::OpenStream;
use crate::cluster::{Cluster, Member};
use crate::connection::{Load, Ping, ReadOutcome, Request};
use crate::error::Error;
use crate::pool::Checkout;
use crate::position::Position;
use crate::query::{ExecutedOnAReplica, LoadsAs, PlainSelect, first_row};
use crate::query_span::QuerySpan;
use crate::region::{Reason, ServedBy};
use crate::server::{Freshness, Requirement};
use crate::visitor::Session;

/// Reads, from the nearest database that can serve them. `repos.replica()` returns one;
/// `repos.repo_ord().reads()` returns one that reads from its own database only.
///
/// A read goes to the region's own database. Where that is down, or further behind than the read
/// allows, the read goes to the next nearest, and at last to the primary: once to each. All
/// attempts together may take as long as one statement.
///
/// A `Replica` is a small `Copy` value, and its methods take `self`: a `&self` method called `load`
/// would lose to that of `diesel_async::RunQueryDsl` wherever that trait is in scope. A read is one
/// round trip, on a connection that the reads of a thread share (see [`Pool`](crate::Pool)). The
/// first query of its kind on a connection is prepared there, at one round trip more.
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
        if let (Some(visitor), Freshness::Any) = (&mut self.plan.visitor, freshness) {
            visitor.is_required = false;
        }
        self
    }

    /// Reads for the visitor of this session: shows at least what they have seen and written before,
    /// and records in the session what each read has shown. A later [`Freshness::Any`] takes the
    /// requirement back: the visitor may then not see what they wrote.
    #[must_use]
    pub fn for_visitor(mut self, session: &'a Session) -> Self {
        self.plan.visitor = Some(Visitor { session, is_required: true });
        self
    }

    /// Allows a stale answer: if no database that can be reached is fresh enough, a replica that
    /// lags more than allowed may answer. The answer then says so ([`ServedBy::stale`]). A position
    /// required by [`Freshness::AtLeast`] holds all the same.
    ///
    /// Without this a read is strict: after the primary is lost, it fails everywhere once `max_lag` is
    /// over.
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

    /// [`load`](Self::load) by the name that Diesel also has for it.
    ///
    /// # Errors
    /// As there.
    pub async fn get_results<U>(
        self,
        query: impl LoadsAs<U, Query: PlainSelect>,
    ) -> Result<Vec<U>, Error>
    where
        U: Send,
    {
        self.load(query).await
    }

    /// The rows of `query`, the database that served them, and the position that they show. Where
    /// positions are carried to visitors and back, [`for_visitor`](Self::for_visitor) is simpler and
    /// goes for every method.
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

    /// The first row of `query`. As in Diesel, further rows are read and dropped; only
    /// [`first`](Self::first) limits them.
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

    /// The first row of `query`, or None. Further rows are read and dropped.
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

    /// The rows of a query that the compiler cannot recognise as a read: raw SQL, or a query struct
    /// of your own.
    ///
    /// Only the read-only session stops a write here, also where this handle leads to the primary.
    ///
    /// # Errors
    /// As [`load`](Self::load), and
    /// [`DatabaseErrorKind::ReadOnlyTransaction`](diesel::result::DatabaseErrorKind) for a write.
    pub async fn load_unchecked<U>(self, query: impl LoadsAs<U>) -> Result<Vec<U>, Error>
    where
        U: Send,
    {
        Ok(self.read(Load::new(query)).await?.value)
    }

    /// Does not compile: a statement that is executed belongs to `repos.primary()`.
    #[doc(hidden)]
    pub fn execute<S: ExecutedOnAReplica>(self, statement: S) -> Ready<Result<usize, Error>> {
        statement.never()
    }

    /// The rows of `query`, one after another: for more rows than should be in memory at once.
    ///
    /// The rows are of one state of the database, and come on a connection of their own, which goes
    /// back to its pool behind the last row. Costs one round trip more than [`load`](Self::load).
    /// Dropping the stream before its end closes the connection. Once the stream is returned, a
    /// failure ends it: no other database goes on with it.
    ///
    /// ```no_run
    /// # archipelago::repos! { primary home; replica near }
    /// # diesel::table! { users (id) { id -> BigInt, name -> Text } }
    /// # async fn example(repos: Repos) -> Result<(), archipelago::Error> {
    /// use diesel::prelude::*;
    /// use futures_util::TryStreamExt;
    ///
    /// let names = users::table.select(users::name);
    /// let mut names = repos.replica().load_stream::<String>(names).await?;
    /// while let Some(name) = names.try_next().await? {
    ///     println!("{name}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`load`](Self::load). The stream has an error where the server ends it, or does not send
    /// the next row in time.
    pub async fn load_stream<U>(
        self,
        query: impl LoadsAs<U, Query: PlainSelect>,
    ) -> Result<BoxStream<'static, Result<U, Error>>, Error>
    where
        U: Send + 'static,
    {
        Ok(self.run(OpenStream::new(query)).await?.value.into_stream())
    }

    /// Several reads of one state of the database: a read-only transaction, `REPEATABLE READ`.
    ///
    /// Costs one round trip more before the reads and one after. A standby may cancel the
    /// transaction (40001) when the primary has removed rows that it still sees. Then, or when the
    /// connection breaks, a clone of `reads` begins again at the next database: a closure is `Clone`
    /// if what it captures is. The future is `Send` if that of `reads` is. An error of your own is a
    /// value here, which ends the transaction as any other: `Ok(Err(own))`.
    ///
    /// # Errors
    /// What `reads` returns, and as [`load`](Self::load).
    pub async fn snapshot<T>(
        self,
        reads: impl AsyncFnOnce(&mut Snapshot<'_>) -> Result<T, Error> + Clone,
    ) -> Result<T, Error> {
        let (begun, probes) = (Instant::now(), self.plan.visitor.is_some());
        let work = async move |checkout: &mut Checkout| {
            checkout
                .within_transaction_limit(async move |connection| {
                    let value = snapshot(connection, reads).await?;
                    if probes {
                        connection.probe().await?;
                    }
                    Ok(value)
                })
                .await
        };
        let span = QuerySpan::of_several(self.plan.first(), "snapshot");
        let outcome = self.on_checkout(work).await;
        self.plan.end_span(&span, &outcome);
        let ReadResult { value: (_, value), served_by, .. } = outcome?;
        self.plan.count(begun, served_by);
        Ok(value)
    }

    /// Lends Diesel's own connection to `work`: for functions that take an `&mut
    /// AsyncPgConnection`. Its session is read-only, at the primary too.
    ///
    /// ```no_run
    /// # archipelago::repos! { primary home; replica near }
    /// # diesel::table! { users (id) { id -> BigInt, name -> Text } }
    /// use diesel::prelude::*;
    /// use diesel_async::{AsyncPgConnection, RunQueryDsl};
    ///
    /// async fn names(connection: &mut AsyncPgConnection) -> QueryResult<Vec<String>> {
    ///     users::table.select(users::name).load(connection).await
    /// }
    ///
    /// # async fn example(repos: Repos) -> Result<(), archipelago::Error> {
    /// let names = repos.replica().connection(async |connection| {
    ///     Ok::<_, archipelago::Error>(names(connection).await?)
    /// });
    /// println!("{:?}", names.await?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The compiler no longer tells reads from writes here. The server does, as
    /// `default_transaction_read_only` is on; at a replica it always does. At a primary, `work`
    /// could switch that off or `BEGIN READ WRITE`: where that matters, give reads a role that may
    /// only SELECT.
    ///
    /// Whatever `work` leaves in the session (settings, locks, temporary tables, an open
    /// transaction) ends with it: the connection is closed, and the next caller opens a new one.
    /// That makes it several times as dear as [`load`](Self::load) or
    /// [`snapshot`](Self::snapshot), which keep their connections.
    ///
    /// The database is asked for its state before `work` begins, at one round trip. `work` runs
    /// once, within [`Timeouts::transaction`](crate::Timeouts::transaction). The future is `Send` if
    /// that of `work` is.
    ///
    /// # Errors
    /// What `work` returns, and as [`load`](Self::load).
    pub async fn connection<T, E: From<Error>>(
        self,
        work: impl AsyncFnOnce(&mut AsyncPgConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        let span = QuerySpan::of_several(self.plan.first(), "connection");
        let opened = self.on_checkout(probe).await;
        let opened = opened.inspect_err(|error| span.failed(Some(error), || self.plan.first()))?;
        let ReadResult { value: (mut checkout, ()), served_by, .. } = opened;
        let begun = Instant::now();
        let probes = self.plan.visitor.is_some();
        let lent = checkout.within_transaction_limit(async |connection| {
            let outcome = connection.lend(work).await;
            let is_known = probes && connection.end_transaction_and_probe().await.is_ok();
            Ok::<_, E>((outcome, is_known))
        });
        let lent = lent.await;
        // Rows may have been shown before a failure as well.
        let position = match lent {
            Ok((_, true)) => checkout.position(checkout.state().shown()),
            _ => checkout.unknown_position(),
        };
        self.plan.record(begun, &Ok(ReadResult { value: (), served_by, position }));
        let outcome = lent.and_then(|(outcome, _)| outcome);
        let member = || self.plan.member(served_by.region);
        if outcome.is_err() && !checkout.goes_on() {
            member().traffic.failed();
        }
        if outcome.is_ok() {
            member().traffic.served_read(served_by.reason);
            span.answered(served_by, position, member);
        } else {
            span.failed(None, member);
            self.plan.record_failure();
        }
        outcome
    }

    /// Whether the database that is asked first shows everything up to `position`. One round trip,
    /// or none if it has shown so before.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn has_replayed(self, position: Position) -> Result<bool, Error> {
        let requirement = Requirement::ANY.and_at_least(Some(position));
        let outcome = self.plan.first().reading.read(&mut Ping, requirement, None).await?;
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
        if let Candidates::Ordered { cluster, order, .. } = self.plan.candidates {
            let leader = cluster.leader_index();
            let is_replica = |index: &usize| *index != leader && !cluster.at(*index).is_off();
            let first_replica = order.iter().position(is_replica).unwrap_or_default();
            order.iter().take(first_replica + 1).for_each(|index| cluster.watch(*index));
        }
    }

    /// Sends one request to the first database that can serve it.
    async fn read<R: Request>(self, request: R) -> Result<ReadResult<R::Output>, Error> {
        self.run(RunQuery(request)).await
    }

    /// Runs an operation at the first database that can serve it.
    async fn run<O: Operation>(self, mut operation: O) -> Result<ReadResult<O::Value>, Error> {
        let begun = Instant::now();
        let span = QuerySpan::of_statement(self.plan.first(), || operation.sql());
        let plan = self.plan.balanced().with_visitors_requirement().await;
        let outcome = run(plan, &mut operation, &mut Attempts::default()).await;
        self.plan.end_span(&span, &outcome);
        if let Ok(read) = &outcome {
            self.plan.count(begun, read.served_by);
        }
        self.plan.record(begun, &outcome);
        outcome
    }

    /// Runs `work` on a connection of its own to the first database that can serve it, and returns
    /// the connection as well. If that breaks off, `work` begins again at the next one. The position
    /// is that of the last probe.
    async fn on_checkout<T>(
        self,
        work: impl AsyncFnOnce(&mut Checkout) -> Result<T, Error> + Clone,
    ) -> Result<ReadResult<(Checkout, T)>, Error> {
        let begun = Instant::now();
        let outcome = run_on_checkout(self.plan, begun, work).await;
        self.plan.record(begun, &outcome);
        outcome
    }
}

/// Asks the server of a checked out connection for its state.
async fn probe(checkout: &mut Checkout) -> Result<(), Error> {
    checkout.within_statement_limit(async |connection| connection.probe().await.map(drop)).await
}
