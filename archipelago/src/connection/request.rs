//! One request on a connection: a query, a statement, or a query with a check of the server's
//! freshness.

use std::marker::PhantomData;

use diesel::QueryResult;
use diesel::pg::{Pg, PgMetadataLookup, PgTypeMetadata};
use diesel::query_builder::bind_collector::RawBytesBindCollector;
use diesel::query_builder::{AsQuery, QueryFragment, QueryId};
use diesel_async::{AsyncConnectionCore, SimpleAsyncConnection};
use futures_util::future::{OptionFuture, join, join3};
use futures_util::{FutureExt, TryFutureExt};

use super::{Connection, SpillPermit};
use crate::error::Error;
use crate::position::Position;
use crate::query::{LoadsAs, sql};
use crate::server::{NotFresh, Requirement, ServerState};

/// What one round trip asks of a server. It can be sent several times: a future of
/// [`send`](Self::send) does not borrow the request.
pub(crate) trait Request: Send {
    type Output: Send;

    /// Whether the statement is prepared once on each connection. Otherwise Diesel prepares it each
    /// time, and blocks the connection for that round trip.
    fn is_prepared_once(&self) -> bool;

    /// The statement's SQL, without the values of its parameters.
    fn sql(&self) -> Option<String>;

    /// Renders the request for `connection`. The future sends it when it is first polled, behind
    /// everything sent before.
    fn send<'c>(
        &self,
        connection: &'c Connection,
    ) -> impl Future<Output = Result<Self::Output, Error>> + Send + use<'c, Self>;

    /// Whether the request itself is the first thing sent. Otherwise Diesel first asks for the
    /// types of its parameters, and a request meant to follow it would overtake it.
    fn is_sent_at_once(&self) -> bool;

    /// What a read from elsewhere holds until the server is done with it.
    fn spill_permit(&self) -> Option<SpillPermit> {
        None
    }
}

impl Connection {
    /// Runs a statement of Diesel's that was rendered for this connection.
    fn run<T, F: Future<Output = QueryResult<T>> + Send>(
        &self,
        statement: F,
    ) -> impl Future<Output = Result<T, Error>> + Send + use<'_, T, F> {
        let sent = self.sent();
        statement.map_err(move |error| self.failed(error, sent))
    }
}

/// The rows of a query.
pub(crate) struct Load<Q: AsQuery, U> {
    query: Q::Query,
    rows: PhantomData<fn() -> U>,
}

impl<Q: LoadsAs<U>, U> Load<Q, U> {
    pub(crate) fn new(query: Q) -> Self {
        Self { query: query.as_query(), rows: PhantomData }
    }
}

impl<Q: LoadsAs<U>, U: Send> Request for Load<Q, U> {
    type Output = Vec<U>;

    fn is_prepared_once(&self) -> bool {
        self.query.is_safe_to_cache_prepared(&Pg).unwrap_or(false)
    }

    fn sql(&self) -> Option<String> {
        sql(&self.query)
    }

    fn send<'c>(
        &self,
        connection: &'c Connection,
    ) -> impl Future<Output = Result<Vec<U>, Error>> + Send + use<'c, Q, U> {
        connection.run(Q::load(&self.query, &connection.inner))
    }

    fn is_sent_at_once(&self) -> bool {
        has_builtin_types(&self.query)
    }
}

/// The number of rows that a statement touches.
pub(crate) struct Execute<S>(pub(crate) S);

impl<S: QueryFragment<Pg> + QueryId + Send> Request for Execute<S> {
    type Output = usize;

    fn is_prepared_once(&self) -> bool {
        self.0.is_safe_to_cache_prepared(&Pg).unwrap_or(false)
    }

    fn sql(&self) -> Option<String> {
        sql(&self.0)
    }

    fn send<'c>(
        &self,
        connection: &'c Connection,
    ) -> impl Future<Output = Result<usize, Error>> + Send + use<'c, S> {
        let mut inner = &connection.inner;
        connection.run(AsyncConnectionCore::execute_returning_count(&mut inner, &self.0))
    }

    fn is_sent_at_once(&self) -> bool {
        has_builtin_types(&self.0)
    }
}

/// Whether every parameter has a built-in type of `PostgreSQL`. Diesel asks the server for the OIDs
/// of all others before it sends the statement.
fn has_builtin_types(statement: &impl QueryFragment<Pg>) -> bool {
    struct LookupDetector(bool);

    impl PgMetadataLookup for LookupDetector {
        fn lookup_type(&mut self, _: &str, _: Option<&str>) -> PgTypeMetadata {
            self.0 = true;
            PgTypeMetadata::new(0, 0)
        }
    }

    let (mut binds, mut lookups) = (RawBytesBindCollector::new(), LookupDetector(false));
    statement.collect_binds(&mut binds, &mut lookups, &Pg).is_ok() && !lookups.0
}

/// A request that counts only if the server is fresh enough for it.
///
/// Check, request and position take one round trip. The check goes first, unless the server has
/// shown on this connection before that it is fresh enough: it only moves forward. Behind the
/// request goes one for the server's position, which the answer cannot be newer than; reads of one
/// moment share it.
pub(crate) struct FreshnessChecked<'a, Q> {
    /// Not `&Q`, which is `Send` for a `Sync` request only.
    pub(crate) request: &'a mut Q,
    pub(crate) requirement: Requirement,
    pub(crate) spill_permit: Option<SpillPermit>,
}

/// What came of a read at one server.
pub(crate) enum ReadOutcome<A> {
    Answered(Answer<A>),
    /// The server may not answer. Its rows, if it sent any, were dropped.
    NotFresh(NotFresh),
}

/// An answer, and the state of the server behind it.
pub(crate) struct Answer<A> {
    pub(crate) value: A,
    pub(crate) state: ServerState,
    pub(crate) position: Position,
}

impl<'a, Q: Request> Request for FreshnessChecked<'a, Q> {
    type Output = ReadOutcome<Q::Output>;

    fn is_prepared_once(&self) -> bool {
        self.request.is_prepared_once()
    }

    fn sql(&self) -> Option<String> {
        self.request.sql()
    }

    fn send<'c>(
        &self,
        connection: &'c Connection,
    ) -> impl Future<Output = Result<ReadOutcome<Q::Output>, Error>> + Send + use<'a, 'c, Q> {
        let requirement = self.requirement;
        let is_known_fresh = connection.meets(requirement, &connection.state()).is_ok();
        // Boxed: it is rare, and large.
        let ahead = OptionFuture::from((!is_known_fresh).then(|| connection.probe().boxed()));
        let is_sent_at_once = self.request.is_sent_at_once();
        let answer = self.request.send(connection);
        async move {
            let (ahead, value, behind) = if is_sent_at_once {
                join3(ahead, answer, connection.probe_with_others()).await
            } else {
                let (ahead, value) = join(ahead, answer).await;
                (ahead, value, connection.probe().boxed().await)
            };
            if let Some(ahead) = ahead
                && let Err(not_fresh) = connection.meets(requirement, &ahead?)
            {
                return Ok(ReadOutcome::NotFresh(not_fresh));
            }
            let (value, state) = (value?, behind?);
            // The answer may have come late: what was fresh when it was asked may be too old now.
            if let Err(not_fresh) = connection.meets(requirement, &state) {
                return Ok(ReadOutcome::NotFresh(not_fresh));
            }
            let position = connection.position(state.shown(), state.timeline);
            Ok(ReadOutcome::Answered(Answer { value, state, position }))
        }
    }

    fn is_sent_at_once(&self) -> bool {
        self.request.is_sent_at_once()
    }

    fn spill_permit(&self) -> Option<SpillPermit> {
        self.spill_permit.clone()
    }
}

/// An empty query: whether the server answers.
pub(crate) struct Ping;

impl Request for Ping {
    type Output = ();

    fn is_prepared_once(&self) -> bool {
        true
    }

    fn sql(&self) -> Option<String> {
        None
    }

    fn send<'c>(
        &self,
        connection: &'c Connection,
    ) -> impl Future<Output = Result<(), Error>> + Send + use<'c> {
        connection.run(async { (&mut &connection.inner).batch_execute("").await })
    }

    fn is_sent_at_once(&self) -> bool {
        true
    }
}
