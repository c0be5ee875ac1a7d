//! `Reader`: a handler's access to the replicas.

use std::future::{Ready, ready};
use std::time::Instant;

use actix_web::dev::Payload;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use diesel::dsl::Limit;
use diesel::query_builder::AsQuery;
use diesel::query_dsl::methods::LimitDsl;
use diesel_async::methods::LoadQuery;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::session::{RequestSession, registered};
use crate::connection::{Connection, Load};
use crate::error::Error;
use crate::pool::Checkout;
use crate::query::{LoadsAs, PlainSelect, first_row};
use crate::read::{ReadResult, Replica, Snapshot, snapshot};
use crate::repo_set::RepoSet;
use crate::server::Freshness;
use crate::settings::Safeguard;

/// Reads for one request, from a database near this instance that is fresh enough. The answer shows
/// at least what the visitor has written and seen before, and is at most
/// [`MAX_LAG`](crate::RegionSet::MAX_LAG) behind.
///
/// It has no method that writes. Visitors carry what they have seen in a cookie or a header, which
/// every answer that has read renews.
///
/// Its methods take `&self`. Where `diesel_async::RunQueryDsl` is in scope, call them on a
/// `&Reader`.
pub struct Reader<R: RepoSet> {
    repos: Data<R>,
    freshness: Vec<Freshness>,
    or_stale: bool,
    session: RequestSession,
}

impl<R: RepoSet> Reader<R> {
    /// Requires a freshness, as [`Replica::fresh`]. With [`Freshness::Any`] a visitor may not see
    /// what they wrote.
    #[must_use]
    pub fn fresh(mut self, freshness: Freshness) -> Self {
        if let Freshness::AtMost(limit) = freshness {
            self.session.keep_for(limit);
        }
        self.freshness.push(freshness);
        self
    }

    /// Allows a stale answer, as [`Replica::or_stale`]. It shows what the visitor has written and
    /// seen all the same.
    #[must_use]
    pub fn or_stale(mut self) -> Self {
        self.or_stale = true;
        self
    }

    /// As [`Replica::load`].
    ///
    /// # Errors
    /// As there.
    pub async fn load<U: Send>(
        &self,
        query: impl LoadsAs<U, Query: PlainSelect>,
    ) -> Result<Vec<U>, Error> {
        self.rows(query).await
    }

    /// As [`Replica::get_result`].
    ///
    /// # Errors
    /// As there.
    pub async fn get_result<U: Send>(
        &self,
        query: impl LoadsAs<U, Query: PlainSelect>,
    ) -> Result<U, Error> {
        first_row(self.rows(query).await?)
    }

    /// As [`Replica::optional`].
    ///
    /// # Errors
    /// As there.
    pub async fn optional<U: Send>(
        &self,
        query: impl LoadsAs<U, Query: PlainSelect>,
    ) -> Result<Option<U>, Error> {
        Ok(self.rows(query).await?.into_iter().next())
    }

    /// As [`Replica::first`].
    ///
    /// # Errors
    /// As there.
    pub async fn first<U: Send, Q>(&self, query: Q) -> Result<U, Error>
    where
        Q: AsQuery<Query: PlainSelect> + LimitDsl,
        Limit<Q>: LoadsAs<U>,
    {
        first_row(self.rows(query.limit(1)).await?)
    }

    /// As [`Replica::load_unchecked`].
    ///
    /// # Errors
    /// As there.
    pub async fn load_unchecked<'query, U: Send>(
        &self,
        query: impl LoadQuery<'query, AsyncPgConnection, U> + Clone + 'query,
    ) -> Result<Vec<U>, Error> {
        let begun = Instant::now();
        let load = async |checkout: &mut Checkout| {
            let query = query.clone();
            let load = async |connection: &mut Connection| {
                let rows = query.load(&mut connection.inner).await?;
                connection.probe().await.map(|_| rows)
            };
            checkout.within_statement_limit(load).await
        };
        self.record(begun, self.replica().await.on_checkout(load).await)
    }

    /// As [`Replica::snapshot`].
    ///
    /// # Errors
    /// As there.
    pub async fn snapshot<T>(
        &self,
        reads: impl AsyncFn(&mut Snapshot<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let begun = Instant::now();
        let work = async |connection: &mut Connection| {
            let value = snapshot(connection, &reads).await?;
            connection.probe().await.map(|_| value)
        };
        let work = async |checkout: &mut Checkout| checkout.within_transaction_limit(work).await;
        self.record(begun, self.replica().await.on_checkout(work).await)
    }

    async fn rows<U: Send>(&self, query: impl LoadsAs<U>) -> Result<Vec<U>, Error> {
        let begun = Instant::now();
        self.record(begun, self.replica().await.read(Load::new(query)).await)
    }

    /// The handle for the next read, which must show what this request has shown already.
    async fn replica(&self) -> Replica<'_> {
        let mut replica = self.repos.replica();
        let cluster = self.repos.cluster();
        if cluster.leadership().safeguards.has(Safeguard::Cookie) {
            let known = self.session.freshness(self.session.vet(cluster).await);
            replica = known.into_iter().fold(replica, Replica::fresh);
        }
        replica.plan.or_stale = self.or_stale;
        self.freshness.iter().fold(replica, |replica, freshness| replica.fresh(*freshness))
    }

    /// Records the outcome of a read in the session.
    fn record<T>(&self, begun: Instant, outcome: Result<ReadResult<T>, Error>) -> Result<T, Error> {
        let served_by = outcome.as_ref().ok().map(|result| result.served_by);
        self.session.record_query(served_by, begun);
        let ReadResult { value, position, served_by } = outcome?;
        self.session.record_read(position, served_by.role);
        Ok(value)
    }
}

impl<R: RepoSet> FromRequest for Reader<R> {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(registered::<R>(request).map(|repos| Self {
            session: RequestSession::with_visitor(repos.get_ref(), request),
            repos,
            freshness: Vec::new(),
            or_stale: false,
        }))
    }
}
