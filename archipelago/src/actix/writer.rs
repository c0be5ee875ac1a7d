//! `Writer`: a handler's access to the primary.

use std::future::{Ready, ready};
use std::time::Instant;

use actix_web::dev::Payload;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use diesel::pg::Pg;
use diesel::query_builder::{QueryFragment, QueryId};
use diesel_async::AsyncPgConnection;

use super::fly_replay::pass_or_replay;
use super::session::{RequestSession, registered};
use crate::error::Error;
use crate::position::Committed;
use crate::query::LoadsAs;
use crate::repo_set::RepoSet;
use crate::write::Primary;

/// Writes for one request, which runs in the primary's region: see [writes from
/// afar](super#writes-from-afar). After a write the answer carries the commit's position to the
/// visitor, in a signed cookie, so that their next read shows the write in any region.
///
/// Make it the first argument of a handler: other arguments before it could refuse the request, or
/// act on it, in the wrong region.
///
/// Its methods take `&self`. Where `diesel_async::RunQueryDsl` is in scope, call them on a
/// `&Writer`.
pub struct Writer<R: RepoSet> {
    repos: Data<R>,
    session: RequestSession,
}

impl<R: RepoSet> Writer<R> {
    /// As [`Primary::execute`](crate::Primary::execute).
    ///
    /// # Errors
    /// As there.
    pub async fn execute(
        &self,
        statement: impl QueryFragment<Pg> + QueryId + Send,
    ) -> Result<usize, Error> {
        self.record(async { self.primary().await.execute(statement).await }).await
    }

    /// As [`Primary::get_result`](crate::Primary::get_result).
    ///
    /// # Errors
    /// As there.
    pub async fn get_result<U: Send>(&self, statement: impl LoadsAs<U>) -> Result<U, Error> {
        self.record(async { self.primary().await.get_result(statement).await }).await
    }

    /// As [`Primary::optional`](crate::Primary::optional).
    ///
    /// # Errors
    /// As there.
    pub async fn optional<U: Send>(&self, statement: impl LoadsAs<U>) -> Result<Option<U>, Error> {
        self.record(async { self.primary().await.optional(statement).await }).await
    }

    /// As [`Primary::transaction`](crate::Primary::transaction).
    ///
    /// # Errors
    /// As there.
    pub async fn transaction<T, E: From<Error> + From<diesel::result::Error>>(
        &self,
        work: impl AsyncFnOnce(&mut AsyncPgConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        self.record(async { self.primary().await.transaction(work).await }).await
    }

    /// The primary, on no older timeline than the visitor has seen.
    async fn primary(&self) -> Primary<'_> {
        let system = self.session.vet(self.repos.cluster()).await;
        self.repos.primary().after(self.session.position(system))
    }

    /// Records the outcome of a write in the session.
    async fn record<T, E>(
        &self,
        write: impl Future<Output = Result<Committed<T>, E>>,
    ) -> Result<T, E> {
        let begun = Instant::now();
        let outcome = write.await;
        let served_by = outcome.is_ok().then(|| self.repos.primary().served_by());
        self.session.record_query(served_by, begun);
        let Committed { value, position } = outcome?;
        self.session.record_write(position);
        Ok(value)
    }
}

impl<R: RepoSet> FromRequest for Writer<R> {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(registered::<R>(request).and_then(|repos| {
            pass_or_replay(repos.get_ref(), request)?;
            let session = RequestSession::with_visitor(repos.get_ref(), request);
            Ok(Self { repos, session })
        }))
    }
}
