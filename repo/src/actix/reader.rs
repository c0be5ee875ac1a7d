//! `Reader`: a handler's way to the replicas.

use std::cell::Cell;
use std::future::{Ready, ready};
use std::sync::Mutex;
use std::time::Instant;

use actix_web::dev::Payload;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use diesel::dsl::Limit;
use diesel::query_builder::AsQuery;
use diesel::query_dsl::methods::LimitDsl;
use diesel_async::AsyncPgConnection;
use diesel_async::methods::LoadQuery;

use super::{Trace, cookie};
use crate::question::{After, Load};
use crate::replica::one;
use crate::{Error, LoadsAs, PlainSelect, Position, Reason, Replica, RepoSet, Role, Snapshot};

/// Reads for one request, from the database near this instance that shows at least what the visitor has written.
///
/// It has no method that writes. Where the visitor carries a position (the cookie that a [`Writer`](super::Writer) gives), the
/// first read of the request asks the replica whether it has got there, in the same round trip; if not, the primary serves the
/// request.
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
    pub async fn load<U: Send>(&self, query: impl LoadsAs<U, Query: PlainSelect>) -> Result<Vec<U>, Error> {
        self.rows(query).await
    }

    /// As [`Replica::get_result`].
    ///
    /// # Errors
    /// As there.
    pub async fn get_result<U: Send>(&self, query: impl LoadsAs<U, Query: PlainSelect>) -> Result<U, Error> {
        one(self.rows(query).await?)
    }

    /// As [`Replica::optional`].
    ///
    /// # Errors
    /// As there.
    pub async fn optional<U: Send>(&self, query: impl LoadsAs<U, Query: PlainSelect>) -> Result<Option<U>, Error> {
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
        query: impl LoadQuery<'query, AsyncPgConnection, U> + 'query,
    ) -> Result<Vec<U>, Error> {
        let replica = self.replica().await?;
        let start = Instant::now();
        self.counted(replica, start, replica.load_unchecked(query).await)
    }

    /// As [`Replica::snapshot`].
    ///
    /// # Errors
    /// As there.
    pub async fn snapshot<T>(&self, reads: impl AsyncFnOnce(&mut Snapshot<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let replica = self.replica().await?;
        let start = Instant::now();
        self.counted(replica, start, replica.snapshot(reads).await)
    }

    /// What became of a read that began at `start`. It is counted afterwards, as a future that is handed on is copied each time.
    fn counted<T>(&self, replica: Replica<'_>, start: Instant, outcome: Result<T, Error>) -> Result<T, Error> {
        let is_answer = outcome.as_ref().err().is_none_or(|error| !error.is_passing());
        self.trace.count(replica.served_by(), start, is_answer);
        outcome
    }

    /// The rows of `query`, from the replica where it is fresh enough, which it says in the same round trip.
    async fn rows<U: Send>(&self, query: impl LoadsAs<U>) -> Result<Vec<U>, Error> {
        let question = Mutex::new(Load::new(query));
        if let Some(position) = self.unsure() {
            let near = self.repos.replica();
            let (start, after) = (Instant::now(), Mutex::new(After { position, question: &question }));
            let verdict = self.counted(near, start, near.ask(&after).await)?;
            self.caught_up.set(Some(verdict.is_some()));
            if let Some(rows) = verdict {
                return Ok(rows);
            }
        }
        let (start, replica) = (Instant::now(), self.chosen());
        self.counted(replica, start, replica.ask(&question).await)
    }

    /// The handle for a read that cannot carry the question of freshness along.
    ///
    /// # Errors
    /// When the replica cannot be asked how far it is.
    async fn replica(&self) -> Result<Replica<'_>, Error> {
        if let Some(position) = self.unsure() {
            let near = self.repos.replica();
            let start = Instant::now();
            self.caught_up.set(Some(self.counted(near, start, near.has_replayed(position).await)?));
        }
        Ok(self.chosen())
    }

    /// What the replica must have replayed, until it has said whether it has.
    fn unsure(&self) -> Option<Position> {
        self.after.filter(|_| self.caught_up.get().is_none() && self.repos.replica().served_by().role == Role::Replica)
    }

    fn chosen(&self) -> Replica<'_> {
        match self.caught_up.get() {
            Some(false) => self.repos.primary().reads(Reason::Fresher),
            Some(true) | None => self.repos.replica(),
        }
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
