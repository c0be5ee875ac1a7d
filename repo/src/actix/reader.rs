//! `Reader`: a handler's way to the replicas.

use std::cell::Cell;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use diesel::dsl::Limit;
use diesel::query_builder::AsQuery;
use diesel::query_dsl::methods::LimitDsl;
use diesel_async::AsyncPgConnection;
use diesel_async::methods::LoadQuery;

use super::{Trace, cookie};
use crate::{Error, PlainSelect, Position, Reason, Replica, RepoSet, Role, Snapshot};

/// Reads for one request, from the database near this instance that shows at least what the visitor has written.
///
/// It has no method that writes. Where the visitor carries a position (the cookie that a [`Writer`](super::Writer) gives), the
/// first read of the request asks the replica whether it has got there, one round trip; if not, the primary serves the request.
///
/// Its methods take `&self`. Where `diesel_async::RunQueryDsl` is in scope, call them on a `&Reader`.
pub struct Reader<R: RepoSet> {
    repos: Data<R>,
    after: Option<Position>,
    caught_up: Cell<Option<bool>>,
    trace: Trace,
}

impl<R: RepoSet> Reader<R> {
    /// As [`Replica::load`].
    ///
    /// # Errors
    /// As there.
    pub async fn load<'query, U: Send>(
        &self,
        query: impl AsQuery<Query: PlainSelect> + LoadQuery<'query, AsyncPgConnection, U> + 'query,
    ) -> Result<Vec<U>, Error> {
        let replica = self.replica().await?;
        self.count(replica, replica.load(query)).await
    }

    /// As [`Replica::get_result`].
    ///
    /// # Errors
    /// As there.
    pub async fn get_result<'query, U: Send>(
        &self,
        query: impl AsQuery<Query: PlainSelect> + LoadQuery<'query, AsyncPgConnection, U> + 'query,
    ) -> Result<U, Error> {
        let replica = self.replica().await?;
        self.count(replica, replica.get_result(query)).await
    }

    /// As [`Replica::optional`].
    ///
    /// # Errors
    /// As there.
    pub async fn optional<'query, U: Send>(
        &self,
        query: impl AsQuery<Query: PlainSelect> + LoadQuery<'query, AsyncPgConnection, U> + 'query,
    ) -> Result<Option<U>, Error> {
        let replica = self.replica().await?;
        self.count(replica, replica.optional(query)).await
    }

    /// As [`Replica::first`].
    ///
    /// # Errors
    /// As there.
    pub async fn first<'query, U: Send, Q>(&self, query: Q) -> Result<U, Error>
    where
        Q: AsQuery<Query: PlainSelect> + LimitDsl,
        Limit<Q>: LoadQuery<'query, AsyncPgConnection, U> + Send + 'query,
    {
        let replica = self.replica().await?;
        self.count(replica, replica.first(query)).await
    }

    /// As [`Replica::load_unchecked`].
    ///
    /// # Errors
    /// As there.
    pub async fn load_unchecked<'query, U: Send>(
        &self,
        query: impl LoadQuery<'query, AsyncPgConnection, U> + 'query,
    ) -> Result<Vec<U>, Error> {
        let replica = self.replica().await?;
        self.count(replica, replica.load_unchecked(query)).await
    }

    /// As [`Replica::snapshot`].
    ///
    /// # Errors
    /// As there.
    pub async fn snapshot<T>(&self, reads: impl AsyncFnOnce(&mut Snapshot<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let replica = self.replica().await?;
        self.count(replica, replica.snapshot(reads)).await
    }

    async fn count<T>(&self, replica: Replica<'_>, read: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.trace.count(replica.served_by(), read, |error| !error.is_passing()).await
    }

    /// The handle that this request's reads go to.
    ///
    /// # Errors
    /// When the replica cannot be asked how far it is.
    async fn replica(&self) -> Result<Replica<'_>, Error> {
        let near = self.repos.replica();
        let Some(position) = self.after.filter(|_| near.served_by().role == Role::Replica) else { return Ok(near) };
        let caught_up = match self.caught_up.get() {
            Some(caught_up) => caught_up,
            None => self.count(near, near.has_replayed(position)).await?,
        };
        self.caught_up.set(Some(caught_up));
        Ok(if caught_up { near } else { self.repos.primary().reads(Reason::Fresher) })
    }
}

impl<R: RepoSet> FromRequest for Reader<R> {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(registered(request).map(|repos| Self {
            repos,
            after: cookie::carried(request),
            caught_up: Cell::new(None),
            trace: Trace::of(request),
        }))
    }
}

pub(super) fn registered<R: RepoSet>(request: &HttpRequest) -> Result<Data<R>, actix_web::Error> {
    request.app_data::<Data<R>>().cloned().ok_or_else(|| {
        actix_web::error::ErrorInternalServerError(
            "no repos are registered; configure the app with archipelago::actix::configure",
        )
    })
}
