//! `Writer`: a handler's way to the primary.

use std::future::{Ready, ready};
use std::time::Instant;

use actix_web::dev::Payload;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use diesel::pg::Pg;
use diesel::query_builder::{QueryFragment, QueryId};
use diesel_async::AsyncPgConnection;

use super::Trace;
use super::reader::{registered, trace_of};
use super::replay::unless_handed_on;
use crate::{Committed, Error, LoadsAs, Primary, RepoSet};

/// Writes for one request, which runs in the primary's region: see [writes from afar](super#writes-from-afar). After a write the
/// answer carries the commit's position to the visitor, in a signed cookie, so that their next read shows it in any region.
///
/// Make it a handler's first argument: the arguments before it could refuse the request, or do something, where it does not belong.
///
/// Its methods take `&self`. Where `diesel_async::RunQueryDsl` is in scope, call them on a `&Writer`.
pub struct Writer<R: RepoSet> {
    repos: Data<R>,
    trace: Trace,
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
        self.count(self.primary().execute(statement)).await
    }

    /// As [`Primary::get_result`](crate::Primary::get_result).
    ///
    /// # Errors
    /// As there.
    pub async fn get_result<U: Send>(&self, statement: impl LoadsAs<U>) -> Result<U, Error> {
        self.count(self.primary().get_result(statement)).await
    }

    /// As [`Primary::optional`](crate::Primary::optional).
    ///
    /// # Errors
    /// As there.
    pub async fn optional<U: Send>(&self, statement: impl LoadsAs<U>) -> Result<Option<U>, Error> {
        self.count(self.primary().optional(statement)).await
    }

    /// As [`Primary::transaction`](crate::Primary::transaction).
    ///
    /// # Errors
    /// As there.
    pub async fn transaction<T, E: From<Error> + From<diesel::result::Error>>(
        &self,
        work: impl AsyncFnOnce(&mut AsyncPgConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        self.count(self.primary().transaction(work)).await
    }

    /// Not one that the visitor knows to be replaced.
    fn primary(&self) -> Primary<'_> {
        self.repos.primary().behind(self.trace.position())
    }

    async fn count<T, E>(
        &self,
        write: impl Future<Output = Result<Committed<T>, E>>,
    ) -> Result<T, E> {
        let start = Instant::now();
        let outcome = write.await;
        self.trace.count(outcome.is_ok().then(|| self.repos.primary().served_by()), start);
        let Committed { value, position } = outcome?;
        if let Some(position) = position {
            self.trace.has_written(position);
        }
        Ok(value)
    }
}

impl<R: RepoSet> FromRequest for Writer<R> {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(registered::<R>(request).and_then(|repos| {
            unless_handed_on(repos.get_ref(), request)?;
            Ok(Self { trace: trace_of(repos.get_ref(), request), repos })
        }))
    }
}
