//! `Primary`, the handle for writing: finds the leader, sends a write once, and takes its position
//! after the commit.

use std::time::Instant;

use diesel::pg::Pg;
use diesel::query_builder::{QueryFragment, QueryId};
use diesel_async::AsyncPgConnection;
use futures_util::FutureExt;
use futures_util::future::join;

use crate::cluster::Cluster;
use crate::connection::{
    Execute, Load, Request, begin, commit_lsn, transaction, warn_of_unknown_position,
};
use crate::error::{Error, NextRead};
use crate::pool::Checkout;
use crate::position::{Committed, Position};
use crate::query::{LoadsAs, first_row};
use crate::read::Replica;
use crate::region::{Reason, Role, ServedBy};
use crate::server::Freshness;
use crate::settings::Safeguard;

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
    /// What the visitor has seen. A primary on an older timeline is superseded.
    seen: Option<Position>,
}

impl<'a> Primary<'a> {
    /// Writes to the leader of this cluster. For generated code.
    #[must_use]
    pub fn new(cluster: &'a Cluster) -> Self {
        Self { cluster, seen: None }
    }

    /// Writes for a visitor who has seen this position.
    #[cfg(feature = "actix")]
    pub(crate) fn after(self, position: Option<Position>) -> Self {
        Self { seen: position, ..self }
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
        Replica::near(self.cluster, &[], Reason::Primary).fresh(Freshness::Primary)
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

    /// Runs a statement that returns one row (`RETURNING`).
    ///
    /// # Errors
    /// As [`execute`](Self::execute), and [`NotFound`](diesel::result::Error::NotFound) without a
    /// row.
    pub async fn get_result<U>(self, statement: impl LoadsAs<U>) -> Result<Committed<U>, Error>
    where
        U: Send,
    {
        let Committed { value, position } = self.write(Load::new(statement)).await?;
        Ok(Committed { value: first_row(value)?, position })
    }

    /// Runs a statement that returns one row or none: an UPDATE of a row that may be gone.
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
        let Committed { value, position } = self.write(Load::new(statement)).await?;
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
    /// # Errors
    /// What `work` returns, and as [`execute`](Self::execute).
    pub async fn transaction<T, E>(
        self,
        work: impl AsyncFnOnce(&mut AsyncPgConnection) -> Result<T, E>,
    ) -> Result<Committed<T>, E>
    where
        E: From<Error> + From<diesel::result::Error>,
    {
        let mut checkout = self.begin().await?;
        let (leadership, region) = (self.cluster.leadership(), checkout.region());
        let (identity, timeline) = (checkout.identity(), checkout.state().timeline);
        let work = async |connection: &mut AsyncPgConnection| {
            let value = work(connection).await?;
            // A promotion may have superseded this primary meanwhile.
            if leadership.is_led_by(region, identity, timeline) {
                Ok(value)
            } else {
                Err(E::from(Error::NotPrimary { region }))
            }
        };
        let (value, lsn) = checkout
            .within_transaction_limit(async |connection| transaction(connection, work).await)
            .await?;
        Ok(Committed { value, position: commit_position(&checkout, lsn) })
    }

    /// Checks out a connection, and begins a transaction on it. Nothing else has run, so a connection
    /// that turns out to be closed is replaced.
    async fn begin(self) -> Result<Checkout, Error> {
        let mut is_repeated = false;
        loop {
            let mut checkout = self.checkout().await?;
            let begun = checkout.within_statement_limit(async |connection| begin(connection).await);
            match begun.await {
                Ok(()) => return Ok(checkout),
                Err(error @ Error::Query(_))
                    if !is_repeated && error.next_read(false) != NextRead::FINAL =>
                {
                    is_repeated = true;
                }
                // It is certain that nothing was written.
                Err(error) => return Err(error.undone()),
            }
        }
    }

    /// Runs a statement, which commits by itself. What never ran, or met a stale plan, is sent again
    /// on a new connection.
    async fn write<R: Request>(self, mut write: R) -> Result<Committed<R::Output>, Error> {
        let begun = Instant::now();
        let mut outcome = self.write_once(&mut write).await;
        let mut repeats = 0;
        while let Err(error) = &outcome
            && repeats < error.write_repeats()
            && begun.elapsed() < self.cluster.leader().writing.timeouts().answer()
        {
            repeats += 1;
            // Boxed: it is rare.
            outcome = Box::pin(self.write_once(&mut write)).await;
        }
        outcome
    }

    /// Sends a statement, and asks for the position behind it: one round trip.
    async fn write_once<R: Request>(self, write: &mut R) -> Result<Committed<R::Output>, Error> {
        let asks_after = self.cluster.leadership().safeguards.has(Safeguard::AfterCommit);
        let mut checkout = self.checkout().await?;
        // Outside of the time limit: the write is certain once it is answered, even if the answer
        // to the request for its position never comes.
        let mut output = None;
        let position = checkout.within_statement_limit(async |connection| {
            let lsn = commit_lsn(&connection.inner);
            let (answer, is_sent_at_once) = (write.send(connection), write.is_sent_at_once());
            let run = answer.map(|answer| output = Some(answer));
            if !asks_after {
                // Wrong on purpose: a test switches the safeguard off.
                Ok(join(lsn, run).await.0?)
            } else if is_sent_at_once {
                Ok(join(run, lsn).await.1?)
            } else {
                run.await;
                Ok(lsn.await?)
            }
        });
        let position = position.await;
        let Some(output) = output else {
            let waited = checkout.timeouts().answer();
            let unanswered = Error::Timeout { region: checkout.region(), waited };
            return Err(position.err().unwrap_or(unanswered));
        };
        let value = output.inspect_err(|error| {
            // Read-only: it may have been replaced.
            if error.code() == Some("25006") {
                checkout.request_check();
            }
        })?;
        let lsn = position.inspect_err(warn_of_unknown_position).ok();
        Ok(Committed { value, position: commit_position(&checkout, lsn) })
    }

    /// Checks out a connection to the leader. Nothing was written yet, so the search may be
    /// repeated.
    async fn checkout(self) -> Result<Checkout, Error> {
        let cluster = self.cluster;
        let limit = cluster.leader().writing.timeouts().checkout;
        let deadline = Instant::now() + limit;
        cluster.wait_for_leader(limit).await;
        let (mut seen, mut was_held) = (self.seen, false);
        loop {
            let elections = cluster.elections();
            // Each election may show that the position is of another history.
            seen =
                seen.filter(|position| cluster.leadership().replacement_for(*position).is_none());
            let checked_out = match cluster.writable_leader(seen) {
                Ok(member) => member.writing.checkout().await,
                Err(error) => Err(error),
            };
            let left = deadline.saturating_duration_since(Instant::now());
            match checked_out {
                Err(error) if error.asks_for_election() && !was_held && !left.is_zero() => {
                    let has_ended = cluster.hold_election(elections, left).await;
                    // Another leader is worth an attempt as well.
                    was_held = !has_ended || cluster.elections().changes == elections.changes;
                }
                outcome => return outcome,
            }
        }
    }
}

/// The position of a commit up to `lsn`; None where only the request for it failed.
fn commit_position(checkout: &Checkout, lsn: Option<u64>) -> Position {
    match lsn {
        Some(lsn) => checkout.record_commit(lsn),
        None => checkout.unknown_position(),
    }
}
