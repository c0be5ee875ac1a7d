//! The handle for writing. Only the primary's repo gives one.

use std::time::{Duration, Instant};

use diesel::pg::Pg;
use diesel::query_builder::{QueryFragment, QueryId};
use diesel_async::AsyncPgConnection;
use futures_util::future::join;

use crate::cluster::Cluster;
use crate::pool::Lease;
use crate::question::{Execute, Load, Question};
use crate::replica::one;
use crate::transaction::written;
use crate::{
    Committed, Error, Freshness, LoadsAs, Position, Protection, Reason, Replica, Role, ServedBy,
    position,
};

/// Writes to the primary. What `repos.primary()` gives.
///
/// Every write returns a [`Committed`]: its value, and a position in the log that has the commit behind it. The question for the
/// position goes down the connection right behind the statement, so that both take one round trip.
///
/// The primary is that of regions.toml until another member is: then all members are asked who is writable on the newest timeline, and
/// writes go there. A write is sent once: what is tried again is only to find somebody who takes it. A primary that was replaced gets
/// no write from a process that knows it. One that does not know, as the line to everybody on the new timeline is cut from it, still
/// writes to the old one: against that the old primary itself must be stopped (fencing), which is the business of whoever promotes.
#[derive(Clone, Copy, Debug)]
pub struct Primary<'a> {
    cluster: &'a Cluster,
    /// The newest timeline that the visitor knows of: a primary on an older one was replaced.
    timeline: u32,
}

impl<'a> Primary<'a> {
    pub(crate) fn new(cluster: &'a Cluster) -> Self {
        Self { cluster, timeline: 0 }
    }

    /// The same, for a visitor who has been shown this.
    #[cfg(feature = "actix")]
    pub(crate) fn behind(self, position: Option<Position>) -> Self {
        Self { timeline: position.map_or(0, Position::timeline), ..self }
    }

    /// Who takes the writes of this handle.
    #[must_use]
    pub fn served_by(self) -> ServedBy {
        ServedBy { role: Role::Primary, ..self.cluster.leader().served_by(Reason::Primary) }
    }

    /// Reads from the primary, which always shows the newest state, in a session that may not write.
    #[must_use]
    pub fn reads(self) -> Replica<'a> {
        Replica::near(self.cluster, &[], Reason::Primary).fresh(Freshness::Primary)
    }

    /// Runs a statement and counts the rows it touched.
    ///
    /// # Errors
    /// When no connection can be had, or the server refuses the statement or does not answer in time. After
    /// [`Error::Timeout`] or a lost connection the write may have happened.
    pub async fn execute(
        self,
        statement: impl QueryFragment<Pg> + QueryId + Send,
    ) -> Result<Committed<usize>, Error> {
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
        let mut lease = self.lease().await?;
        let (cluster, region, timeline) = (self.cluster, lease.region(), lease.state().timeline);
        let work = async |connection: &mut AsyncPgConnection| {
            let value = work(connection).await?;
            // There may have been a promotion meanwhile.
            if cluster.lineage().has_left(timeline) {
                Err(E::from(Error::NotPrimary { region }))
            } else {
                Ok(value)
            }
        };
        let (value, lsn) = lease
            .transaction(async |connection| written(&mut connection.inner, work).await)
            .await?;
        Ok(committed(value, lsn.map(|lsn| lease.committed(lsn)).map_err(Error::from)))
    }

    /// One round trip: the statement, which commits by itself, and behind it the question for the position.
    async fn write<Q: Question>(self, write: Q) -> Result<Committed<Q::Answer>, Error> {
        let is_after = self.cluster.lineage().protections.include(Protection::AfterCommit);
        let mut lease = self.lease().await?;
        let mut value = None;
        let lsn = lease.statement(async |connection| {
            let lsn = position::after_commit(&connection.inner);
            let write_it = async { value = Some(write.send(connection).await) };
            if !is_after {
                Ok(join(lsn, write_it).await.0?)
            } else if write.is_sent_at_once() {
                Ok(join(write_it, lsn).await.1?)
            } else {
                write_it.await;
                Ok(lsn.await?)
            }
        });
        match (lsn.await, value) {
            (lsn, Some(value)) => Ok(committed(value?, lsn.map(|lsn| lease.committed(lsn)))),
            (Err(error), None) => Err(error),
            (Ok(_), None) => Err(Error::Timeout { region: lease.region(), waited: Duration::ZERO }),
        }
    }

    /// A connection to whoever takes the writes. Nobody has been asked to write yet, so this may be tried again.
    async fn lease(self) -> Result<Lease, Error> {
        let cluster = self.cluster;
        let limit = cluster.leader().writing.timeouts().checkout;
        let deadline = Instant::now() + limit;
        cluster.knows_the_leader(limit).await;
        let begun = cluster.rounds();
        loop {
            let rounds = cluster.rounds();
            let leased = match cluster.writable_leader(self.timeline) {
                Ok(member) => member.writing.checkout().await,
                Err(error) => Err(error),
            };
            let left = deadline.saturating_duration_since(Instant::now());
            // The round that was under way at the beginning may have asked too early.
            let is_searched = cluster.rounds() > begun + 1;
            match leased {
                Err(Error::NotPrimary { .. } | Error::Unreachable { .. })
                    if !is_searched && !left.is_zero() =>
                {
                    cluster.more_rounds_than(rounds, left).await;
                }
                outcome => return outcome,
            }
        }
    }
}

/// The write is certain now, so a failing question for its position does not fail it.
fn committed<T>(value: T, position: Result<Position, Error>) -> Committed<T> {
    if let Err(error) = &position {
        tracing::warn!(%error, "committed, but the position of the commit is unknown");
    }
    Committed { value, position: position.ok() }
}
