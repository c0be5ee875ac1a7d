//! What is asked of a database in one round trip. A question can be sent more than once, and what was sent does not hold on to it.

use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

use diesel::QueryResult;
use diesel::deserialize::FromSqlRow;
use diesel::expression::QueryMetadata;
use diesel::pg::{Pg, PgMetadataLookup, PgTypeMetadata};
use diesel::query_builder::bind_collector::RawBytesBindCollector;
use diesel::query_builder::{AsQuery, QueryFragment, QueryId};
use diesel::query_dsl::CompatibleType;
use diesel::result::Error::DeserializationError;
use diesel_async::{AsyncConnectionCore, AsyncPgConnection, SimpleAsyncConnection};
use futures_util::future::join;
use futures_util::{StreamExt, TryStreamExt};

use crate::position::IsReplayed;
use crate::{Error, Position};

/// A question, and the kind of its answer.
pub(crate) trait Question: Send {
    type Answer: Send;

    /// Whether it is prepared once on each connection. Otherwise Diesel prepares it each time, and for that round trip nobody else
    /// can send anything down the connection.
    fn is_prepared_once(&self) -> bool;

    /// Sends it down `connection`, behind whatever was sent before, when the future is first polled.
    fn send<'c>(
        &self,
        connection: &'c AsyncPgConnection,
    ) -> impl Future<Output = Result<Self::Answer, Error>> + Send + use<'c, Self>;
}

/// A question that writes.
pub(crate) trait Write: Question {
    /// Whether the first thing sent is the statement itself, and not a question for the types of its parameters.
    fn is_sent_at_once(&self) -> bool;
}

/// A query whose rows load as `U`s.
///
/// This is a bound, not something to implement: every query of Diesel's for `PostgreSQL` has it, for each type that its columns fit.
pub trait LoadsAs<U>: AsQuery<Query: QueryFragment<Pg> + QueryId + Send> {
    /// Sends the query down `connection`.
    #[doc(hidden)]
    fn load<'c>(
        query: &Self::Query,
        connection: &'c AsyncPgConnection,
    ) -> impl Future<Output = QueryResult<Vec<U>>> + Send + use<'c, Self, U>;
}

impl<Q, U, ST> LoadsAs<U> for Q
where
    Q: AsQuery<Query: QueryFragment<Pg> + QueryId + Send, SqlType: CompatibleType<U, Pg, SqlType = ST>>,
    U: FromSqlRow<ST, Pg> + Send + 'static,
    ST: 'static,
    Pg: QueryMetadata<Q::SqlType>,
{
    fn load<'c>(
        query: &Q::Query,
        connection: &'c AsyncPgConnection,
    ) -> impl Future<Output = QueryResult<Vec<U>>> + Send + use<'c, Q, U, ST> {
        // Through a shared reference Diesel pipelines; it has made text and bytes of the query when this returns.
        let rows = AsyncConnectionCore::load(&mut &*connection, query);
        async move { rows.await?.map(|row| U::build_from_row(&row?).map_err(DeserializationError)).try_collect().await }
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

impl<Q: LoadsAs<U>, U: Send> Question for Load<Q, U> {
    type Answer = Vec<U>;

    fn is_prepared_once(&self) -> bool {
        self.query.is_safe_to_cache_prepared(&Pg).unwrap_or(false)
    }

    fn send<'c>(&self, connection: &'c AsyncPgConnection) -> impl Future<Output = Result<Vec<U>, Error>> + Send + use<'c, Q, U> {
        let rows = Q::load(&self.query, connection);
        async move { Ok(rows.await?) }
    }
}

impl<Q: LoadsAs<U>, U: Send> Write for Load<Q, U> {
    fn is_sent_at_once(&self) -> bool {
        knows_its_types(&self.query)
    }
}

/// How many rows a statement touches.
pub(crate) struct Execute<S>(pub(crate) S);

impl<S: QueryFragment<Pg> + QueryId + Send> Question for Execute<S> {
    type Answer = usize;

    fn is_prepared_once(&self) -> bool {
        self.0.is_safe_to_cache_prepared(&Pg).unwrap_or(false)
    }

    fn send<'c>(&self, connection: &'c AsyncPgConnection) -> impl Future<Output = Result<usize, Error>> + Send + use<'c, S> {
        let count = AsyncConnectionCore::execute_returning_count(&mut &*connection, &self.0);
        async move { Ok(count.await?) }
    }
}

impl<S: QueryFragment<Pg> + QueryId + Send> Write for Execute<S> {
    fn is_sent_at_once(&self) -> bool {
        knows_its_types(&self.0)
    }
}

/// Whether every parameter has a type of `PostgreSQL`'s own. Diesel asks the server for the numbers of all others before it sends
/// the statement, and then what was meant to follow the statement would overtake it.
fn knows_its_types(statement: &impl QueryFragment<Pg>) -> bool {
    struct Asked(bool);

    impl PgMetadataLookup for Asked {
        fn lookup_type(&mut self, _: &str, _: Option<&str>) -> PgTypeMetadata {
            self.0 = true;
            PgTypeMetadata::new(0, 0)
        }
    }

    let mut asked = Asked(false);
    statement.collect_binds(&mut RawBytesBindCollector::new(), &mut asked, &Pg).is_ok() && !asked.0
}

/// A question for a server that shows everything up to a position; the answer of one that does not is none.
///
/// The verdict and the answer take one round trip. The verdict is asked first: a server only moves forward, so what it says holds
/// for the answer behind it.
pub(crate) struct After<'a, Q> {
    pub(crate) position: Position,
    pub(crate) question: &'a Mutex<Q>,
}

impl<'a, Q: Question> Question for After<'a, Q> {
    type Answer = Option<Q::Answer>;

    fn is_prepared_once(&self) -> bool {
        self.question.lock().unwrap_or_else(PoisonError::into_inner).is_prepared_once()
    }

    fn send<'c>(
        &self,
        connection: &'c AsyncPgConnection,
    ) -> impl Future<Output = Result<Option<Q::Answer>, Error>> + Send + use<'a, 'c, Q> {
        let verdict = <IsReplayed as LoadsAs<bool>>::load(&self.position.into(), connection);
        let answer = self.question.lock().unwrap_or_else(PoisonError::into_inner).send(connection);
        async move {
            match join(verdict, answer).await {
                (Ok(verdict), answer) if verdict == [true] => answer.map(Some),
                (Ok(_), _) => Ok(None),
                (Err(error), _) => Err(error.into()),
            }
        }
    }
}

/// Nothing but an answer.
pub(crate) struct Ping;

impl Question for Ping {
    type Answer = ();

    fn is_prepared_once(&self) -> bool {
        true
    }

    fn send<'c>(&self, mut connection: &'c AsyncPgConnection) -> impl Future<Output = Result<(), Error>> + Send + use<'c> {
        async move { Ok(connection.batch_execute("").await?) }
    }
}
