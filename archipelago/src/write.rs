//! `Primary`, the handle for writing: each write is sent once, and has a position.

mod at_leader;
mod retrying;
mod statement;

use std::time::Instant;

use diesel::pg::Pg;
use diesel::query_builder::{QueryFragment, QueryId};
use diesel_async::AsyncPgConnection;

use self::at_leader::checkout_and;
pub use self::retrying::Retrying;
use self::retrying::run_transaction;
use self::statement::write_once;
use crate::cluster::Cluster;
use crate::connection::{Execute, Isolation, Load, Ping, Request, warn_of_unknown_position};
use crate::error::Error;
use crate::pool::Checkout;
use crate::position::{Committed, Position};
use crate::query::{LoadsAs, first_row};
use crate::query_span::QuerySpan;
use crate::read::Replica;
use crate::region::{Reason, Role, ServedBy};
use crate::server::Freshness;
use crate::visitor::Session;

/// Writes to the primary. `repos.primary()` returns one.
///
/// Every write returns a [`Committed`]: its value, and a position in the log that includes the
/// commit. The request for the position goes down the connection right behind the statement, so
/// that both take one round trip.
///
/// Writes go to the leader that this process has elected from what all members report (see
/// [`Cluster`]). Until the first election writes wait, at most
/// [`Timeouts::checkout`](crate::Timeouts::checkout); then they go to the primary of regions.toml.
///
/// A write is sent once; only the search for the primary is repeated. A process that knows of a
/// promotion sends no write to the old primary. A process that is cut off from every member on the
/// new timeline does not know of it, and still writes to the old one. The operator who promotes
/// must stop the old primary (fencing).
#[derive(Clone, Copy, Debug)]
pub struct Primary<'a> {
    cluster: &'a Cluster,
    /// The visitor that the writes are for. A primary on an older timeline than they have seen is
    /// superseded.
    visitor: Option<&'a Session>,
    /// Of its transactions. None is the default of the login role.
    isolation: Option<Isolation>,
}

impl<'a> Primary<'a> {
    /// Writes to the leader of this cluster. For generated code.
    #[must_use]
    pub fn new(cluster: &'a Cluster) -> Self {
        Self { cluster, visitor: None, isolation: None }
    }

    /// Writes for the visitor of this session: goes to no primary that they know to be superseded,
    /// and records the position of each commit in the session.
    #[must_use]
    pub fn for_visitor(self, session: &'a Session) -> Self {
        Self { visitor: Some(session), ..self }
    }

    /// Isolates each [`transaction`](Self::transaction) so far.
    #[must_use]
    pub fn isolation(self, isolation: Isolation) -> Self {
        Self { isolation: Some(isolation), ..self }
    }

    /// Runs a transaction again if a concurrent one undoes it (40001, 40P01), at most so often:
    ///
    /// ```no_run
    /// # archipelago::repos! { primary home; replica near }
    /// # diesel::table! { users (id) { id -> BigInt, name -> Text } }
    /// # async fn example(repos: Repos) -> Result<(), archipelago::Error> {
    /// use archipelago::Isolation;
    /// use diesel::prelude::*;
    /// use diesel_async::RunQueryDsl;
    ///
    /// let serializable = repos.primary().isolation(Isolation::Serializable).retries(3);
    /// serializable.transaction(async |connection| {
    ///     let count: i64 = users::table.count().get_result(connection).await?;
    ///     let row = (users::id.eq(count), users::name.eq("Ada"));
    ///     diesel::insert_into(users::table).values(row).execute(connection).await?;
    ///     Ok::<_, archipelago::Error>(())
    /// }).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn retries(self, retries: u32) -> Retrying<'a> {
        Retrying { primary: self, retries }
    }

    /// The database that takes the writes of this handle.
    #[must_use]
    pub fn served_by(self) -> ServedBy {
        ServedBy { role: Role::Primary, ..self.cluster.leader().served_by(Reason::Primary) }
    }

    /// Reads from the primary, which always shows the newest state, in a session that may not
    /// write.
    #[must_use]
    pub fn reads(self) -> Replica<'a> {
        let reads = Replica::near(self.cluster, &[], Reason::Primary).fresh(Freshness::Primary);
        self.visitor.into_iter().fold(reads, Replica::for_visitor)
    }

    /// Runs a statement and counts the rows that it touches.
    ///
    /// # Errors
    /// When no connection can be had, or the server refuses the statement or does not answer in
    /// time. After [`Error::Timeout`] or a lost connection the write may have happened
    /// ([`Error::is_uncertain`]).
    pub async fn execute(
        self,
        statement: impl QueryFragment<Pg> + QueryId + Send,
    ) -> Result<Committed<usize>, Error> {
        self.write(Execute(statement)).await
    }

    /// Runs a statement that returns rows: a batch of rows with `RETURNING`, or a query that must
    /// not be read-only.
    ///
    /// # Errors
    /// As [`execute`](Self::execute).
    pub async fn load<U>(self, statement: impl LoadsAs<U>) -> Result<Committed<Vec<U>>, Error>
    where
        U: Send,
    {
        self.write(Load::new(statement)).await
    }

    /// [`load`](Self::load) by the name that Diesel also has for it.
    ///
    /// # Errors
    /// As there.
    pub async fn get_results<U>(
        self,
        statement: impl LoadsAs<U>,
    ) -> Result<Committed<Vec<U>>, Error>
    where
        U: Send,
    {
        self.load(statement).await
    }

    /// Runs a statement that returns one row (`RETURNING`). Further rows are dropped.
    ///
    /// # Errors
    /// As [`execute`](Self::execute), and [`NotFound`](diesel::result::Error::NotFound) without a
    /// row.
    pub async fn get_result<U>(self, statement: impl LoadsAs<U>) -> Result<Committed<U>, Error>
    where
        U: Send,
    {
        let Committed { value, position } = self.load(statement).await?;
        Ok(Committed { value: first_row(value)?, position })
    }

    /// Runs a statement that returns one row or none: an UPDATE of a row that may be gone.
    /// Further rows are dropped.
    ///
    /// # Errors
    /// As [`execute`](Self::execute).
    pub async fn optional<U>(
        self,
        statement: impl LoadsAs<U>,
    ) -> Result<Committed<Option<U>>, Error>
    where
        U: Send,
    {
        let Committed { value, position } = self.load(statement).await?;
        Ok(Committed { value: value.into_iter().next(), position })
    }

    /// Runs `work` in a transaction: it is committed when `work` returns `Ok`, and rolled back when
    /// `work` returns an error.
    ///
    /// The connection is Diesel's own. Each statement is a round trip, and so is BEGIN; COMMIT and
    /// the request for the position share one. Statements that do not need each other's answers can
    /// share one as well, as Diesel pipelines over a shared reference:
    ///
    /// ```no_run
    /// # archipelago::repos! { primary home; replica near }
    /// # diesel::table! { users (id) { id -> BigInt, name -> Text } }
    /// # async fn example(repos: Repos) -> Result<(), archipelago::Error> {
    /// use diesel::prelude::*;
    /// use diesel_async::RunQueryDsl;
    ///
    /// let rename = |id: i64, name: &'static str| {
    ///     diesel::update(users::table.find(id)).set(users::name.eq(name))
    /// };
    /// let swapped = repos.primary().transaction(async |connection| {
    ///     let (mut one, mut other) = (&*connection, &*connection);
    ///     let (ada, bob) = futures_util::join!(
    ///         rename(1, "Bob").execute(&mut one),
    ///         rename(2, "Ada").execute(&mut other),
    ///     );
    ///     Ok::<_, archipelago::Error>(ada? + bob?)
    /// });
    /// assert_eq!(swapped.await?.value, 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The future is `Send` if that of `work` is. What belongs to the session outlives the transaction
    /// on its connection: settings other than by `SET LOCAL`, `pg_advisory_lock` (take
    /// `pg_advisory_xact_lock`), LISTEN, temporary tables. [`connection`](Self::connection) ends that.
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
        self.transaction_once(work, &mut false).await
    }

    /// Lends Diesel's own connection to `work`, outside of a transaction: for functions that take an
    /// `&mut AsyncPgConnection`, and for all that this handle has no method for, such as Diesel's
    /// `build_transaction` with `DEFERRABLE`.
    ///
    /// The position is asked behind `work`, and covers everything that it has committed. Whatever
    /// it leaves in the session (settings, locks, temporary tables, an open transaction) ends with
    /// it: the connection is closed, and the next caller opens a new one. That makes it several
    /// times as dear as [`transaction`](Self::transaction), which keeps its connection.
    ///
    /// The server is asked for an empty answer before `work` begins, at one round trip. `work` runs
    /// once, within [`Timeouts::transaction`](crate::Timeouts::transaction). The future is `Send` if
    /// that of `work` is. Where `work` fails, what it has committed before stays.
    ///
    /// # Errors
    /// What `work` returns, and as [`execute`](Self::execute).
    pub async fn connection<T, E: From<Error>>(
        self,
        work: impl AsyncFnOnce(&mut AsyncPgConnection) -> Result<T, E>,
    ) -> Result<Committed<T>, E> {
        let begun = Instant::now();
        let span = QuerySpan::of_several(self.cluster.leader(), "connection");
        let checkout = checkout_and(self, async |connection| {
            let answer = Ping.send(connection);
            answer.await
        });
        let checkout = checkout.await;
        let mut checkout =
            checkout.inspect_err(|error| span.failed(Some(error), || self.cluster.leader()))?;
        let lent = checkout.within_transaction_limit(async |connection| {
            let outcome = connection.lend(work).await;
            let lsn = match connection.end_transaction().await {
                Ok(()) => connection.commit_lsn().await.map_err(Error::from),
                Err(error) => Err(error),
            };
            // Committed statements may lie behind an error as well.
            Ok::<_, E>((outcome, lsn.inspect_err(warn_of_unknown_position).ok()))
        });
        let lent = lent.await;
        let lsn = lent.as_ref().ok().and_then(|(_, lsn)| *lsn);
        let position = commit_position(&checkout, lsn);
        let outcome = lent.and_then(|(outcome, _)| outcome);
        if outcome.is_err() && !checkout.goes_on() {
            self.cluster.leader().traffic.failed();
        }
        if outcome.is_err() {
            self.record_failure(position);
        }
        let outcome = outcome.map(|value| Committed { value, position });
        self.end_span(&span, &outcome, |_| None);
        self.record(begun, outcome)
    }

    /// Runs a transaction, and tells whether a concurrent one has undone it.
    async fn transaction_once<T, E>(
        self,
        work: impl AsyncFnOnce(&mut AsyncPgConnection) -> Result<T, E>,
        is_conflict: &mut bool,
    ) -> Result<Committed<T>, E>
    where
        E: From<Error> + From<diesel::result::Error>,
    {
        let begun = Instant::now();
        let span = QuerySpan::of_several(self.cluster.leader(), "transaction");
        let outcome = run_transaction(self, work, is_conflict).await;
        self.end_span(&span, &outcome, |_| None);
        self.record(begun, outcome)
    }

    /// Records in the session of its visitor that a write has failed at a primary that goes on, and
    /// was no further than `bound`: their next read shows what stood in the way.
    fn record_failure(self, bound: Position) {
        if let Some(session) = self.visitor {
            session.record_failed_write(bound);
        }
    }

    /// Records the outcome of a write in the session of its visitor.
    fn record<T, E>(
        self,
        begun: Instant,
        outcome: Result<Committed<T>, E>,
    ) -> Result<Committed<T>, E> {
        if outcome.is_ok() {
            let leader = self.cluster.leader();
            leader.traffic.took_write();
            leader.query_times.record_write(begun);
        }
        if let Some(session) = self.visitor {
            session.keep_for(self.cluster.max_lag());
            let committed = outcome.as_ref().ok();
            session.record_write(begun, committed.map(|it| (self.served_by(), it.position)));
        }
        outcome
    }

    /// Records the outcome of a write in its span. `known` finds what the library knows of the
    /// caller's error.
    fn end_span<T, E>(
        self,
        span: &QuerySpan,
        outcome: &Result<Committed<T>, E>,
        known: impl FnOnce(&E) -> Option<&Error>,
    ) {
        let leader = || self.cluster.leader();
        match outcome {
            Ok(committed) => span.answered(self.served_by(), committed.position, leader),
            Err(error) => span.failed(known(error), leader),
        }
    }

    /// Runs a statement, which commits by itself. What never ran, or met a stale plan, is sent again
    /// on a new connection.
    async fn write<R: Request>(self, mut write: R) -> Result<Committed<R::Output>, Error> {
        let begun = Instant::now();
        let span = QuerySpan::of_statement(self.cluster.leader(), || write.sql());
        let mut outcome = write_once(self, &mut write).await;
        let mut repeats = 0;
        while let Err(error) = &outcome
            && repeats < error.write_repeats()
            && begun.elapsed() < self.cluster.leader().writing.timeouts().answer()
        {
            repeats += 1;
            // Boxed: it is rare.
            outcome = Box::pin(write_once(self, &mut write)).await;
        }
        if outcome.as_ref().is_err_and(Error::is_passing) {
            self.cluster.leader().traffic.failed();
        }
        self.end_span(&span, &outcome, |error| Some(error));
        self.record(begun, outcome)
    }
}

/// The position of a commit up to `lsn`; None where only the request for it failed.
fn commit_position(checkout: &Checkout, lsn: Option<u64>) -> Position {
    match lsn {
        Some(lsn) => checkout.record_commit(lsn),
        None => checkout.unknown_position(),
    }
}
