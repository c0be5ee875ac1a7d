//! `Reader`: a handler's way to the replicas.

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

use super::Trace;
use super::cookie::carried;
use crate::connection::Connection;
use crate::pool::Lease;
use crate::question::Load;
use crate::replica::one;
use crate::route::Served;
use crate::transaction::snapshot;
use crate::{
    Error, Freshness, LoadsAs, PlainSelect, Position, Protection, Replica, RepoSet, Snapshot,
};

/// Reads for one request, from the database near this instance that is fresh enough: it shows at least what the visitor has written
/// and seen before, and is at most [`MAX_LAG`](RepoSet::MAX_LAG) behind.
///
/// It has no method that writes. What the visitor has seen they carry with them, in a cookie or a header that every answer renews.
///
/// Its methods take `&self`. Where `diesel_async::RunQueryDsl` is in scope, call them on a `&Reader`.
pub struct Reader<R: RepoSet> {
    repos: Data<R>,
    freshness: Vec<Freshness>,
    or_stale: bool,
    hedged: bool,
    trace: Trace,
}

impl<R: RepoSet> Reader<R> {
    /// The same, for reads that must be so fresh: as [`Replica::fresh`]. With [`Freshness::Any`] a visitor may not see what they
    /// wrote.
    #[must_use]
    pub fn fresh(mut self, freshness: Freshness) -> Self {
        self.freshness.push(freshness);
        self
    }

    /// The same, for reads that rather take an old answer than none: as [`Replica::or_stale`]. It shows what the visitor has written
    /// and seen all the same.
    #[must_use]
    pub fn or_stale(mut self) -> Self {
        self.or_stale = true;
        self
    }

    /// The same, for reads that are sent to a second database when the first is slow: as [`Replica::hedged`].
    #[must_use]
    pub fn hedged(mut self) -> Self {
        self.hedged = true;
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
        one(self.rows(query).await?)
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
        one(self.rows(query.limit(1)).await?)
    }

    /// As [`Replica::load_unchecked`].
    ///
    /// # Errors
    /// As there.
    pub async fn load_unchecked<'query, U: Send>(
        &self,
        query: impl LoadQuery<'query, AsyncPgConnection, U> + Clone + 'query,
    ) -> Result<Vec<U>, Error> {
        let start = Instant::now();
        let load = async |lease: &mut Lease| {
            let query = query.clone();
            let load = async |connection: &mut Connection| {
                let rows = query.load(&mut connection.inner).await?;
                connection.ask_state().await.map(|_| rows)
            };
            lease.statement(load).await
        };
        self.served(start, self.replica().session(load).await)
    }

    /// As [`Replica::snapshot`].
    ///
    /// # Errors
    /// As there.
    pub async fn snapshot<T>(
        &self,
        reads: impl AsyncFn(&mut Snapshot<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let start = Instant::now();
        let work = async |connection: &mut Connection| {
            let value = snapshot(&mut connection.inner, &reads).await?;
            connection.ask_state().await.map(|_| value)
        };
        let work = async |lease: &mut Lease| lease.transaction(work).await;
        self.served(start, self.replica().session(work).await)
    }

    async fn rows<U: Send>(&self, query: impl LoadsAs<U>) -> Result<Vec<U>, Error> {
        let start = Instant::now();
        self.served(start, self.replica().read(Load::new(query)).await)
    }

    /// The handle for the next read, which must show what this request has seen already.
    fn replica(&self) -> Replica<'_> {
        let mut replica = self.repos.replica();
        if self.repos.cluster().lineage().protections.include(Protection::Cookie) {
            replica.need = replica.need.and_at_least(self.trace.position());
        }
        replica =
            self.freshness.iter().fold(replica, |replica, freshness| replica.fresh(*freshness));
        Replica { or_stale: self.or_stale, hedged: self.hedged, ..replica }
    }

    /// What became of a read that began at `start`.
    fn served<A>(&self, start: Instant, outcome: Result<Served<A>, Error>) -> Result<A, Error> {
        let by = outcome.as_ref().ok().map(|served| served.by);
        self.trace.count(by, start);
        let Served { value, position, by } = outcome?;
        self.trace.has_seen(position, by.role);
        Ok(value)
    }
}

impl<R: RepoSet> FromRequest for Reader<R> {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(registered::<R>(request).map(|repos| Self {
            trace: trace_of(repos.get_ref(), request),
            repos,
            freshness: Vec::new(),
            or_stale: false,
            hedged: false,
        }))
    }
}

/// The trace of a request. What its visitor brings may show that there was a promotion.
pub(super) fn trace_of<R: RepoSet>(repos: &R, request: &HttpRequest) -> Trace {
    let trace = Trace::of(request);
    if trace.position().is_none() {
        let lineage = repos.cluster().lineage();
        let brought =
            carried(request).into_iter().flatten().filter_map(|position| lineage.brought(position));
        trace.has_brought(brought.reduce(Position::or_later));
    }
    trace
}

pub(super) fn registered<R: RepoSet>(request: &HttpRequest) -> Result<Data<R>, actix_web::Error> {
    request.app_data::<Data<R>>().cloned().ok_or_else(|| {
        actix_web::error::ErrorInternalServerError(
            "no repos are registered; configure the app with archipelago::actix::configure",
        )
    })
}
