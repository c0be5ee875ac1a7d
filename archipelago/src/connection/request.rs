//! What is asked of a database in one round trip. A question can be sent more than once, and what was sent does not hold on to it.

use std::marker::PhantomData;
use std::sync::Mutex;

use diesel::QueryResult;
use diesel::deserialize::FromSqlRow;
use diesel::expression::QueryMetadata;
use diesel::pg::{Pg, PgMetadataLookup, PgTypeMetadata};
use diesel::query_builder::bind_collector::RawBytesBindCollector;
use diesel::query_builder::{AsQuery, QueryFragment, QueryId};
use diesel::query_dsl::CompatibleType;
use diesel::result::Error::DeserializationError;
use diesel_async::{AsyncConnectionCore, AsyncPgConnection, SimpleAsyncConnection};
use futures_util::future::{OptionFuture, join, join3};
use futures_util::{FutureExt, StreamExt, TryStreamExt};

use crate::connection::Connection;
use crate::freshness::{Need, Unmet};
use crate::pool::lock;
use crate::state::State;
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
        connection: &'c Connection,
    ) -> impl Future<Output = Result<Self::Answer, Error>> + Send + use<'c, Self>;

    /// Whether the first thing sent is the question itself, and not one for the types of its parameters: what is meant to follow it
    /// would overtake it.
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
    Q: AsQuery<
            Query: QueryFragment<Pg> + QueryId + Send,
            SqlType: CompatibleType<U, Pg, SqlType = ST>,
        >,
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
        async move {
            rows.await?
                .map(|row| U::build_from_row(&row?).map_err(DeserializationError))
                .try_collect()
                .await
        }
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

    fn send<'c>(
        &self,
        connection: &'c Connection,
    ) -> impl Future<Output = Result<Vec<U>, Error>> + Send + use<'c, Q, U> {
        let rows = Q::load(&self.query, &connection.inner);
        async move { Ok(rows.await?) }
    }

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

    fn send<'c>(
        &self,
        connection: &'c Connection,
    ) -> impl Future<Output = Result<usize, Error>> + Send + use<'c, S> {
        let count = AsyncConnectionCore::execute_returning_count(&mut &connection.inner, &self.0);
        async move { Ok(count.await?) }
    }

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

/// A question for a server that stands as it needs.
///
/// The verdict and the answer take one round trip, and so does what the answer shows. Ahead of the question goes the one for the
/// verdict, unless the server has shown on this connection before that it stands well: it only moves forward. Behind the question
/// goes the one for the place in the log that the answer cannot be newer than, for the visitor to carry on; questions of one moment
/// share it.
pub(crate) struct Checked<'a, Q> {
    pub(crate) question: &'a Mutex<Q>,
    pub(crate) need: Need,
}

/// An answer, or why there is none here.
pub(crate) type Verdict<A> = Result<Shown<A>, Unmet>;

/// An answer, and how the server stood behind it.
pub(crate) struct Shown<A> {
    pub(crate) answer: A,
    pub(crate) state: State,
    pub(crate) position: Position,
}

impl<'a, Q: Question> Question for Checked<'a, Q> {
    type Answer = Verdict<Q::Answer>;

    fn is_prepared_once(&self) -> bool {
        lock(self.question).is_prepared_once()
    }

    fn send<'c>(
        &self,
        connection: &'c Connection,
    ) -> impl Future<Output = Result<Verdict<Q::Answer>, Error>> + Send + use<'a, 'c, Q> {
        let need = self.need;
        let question = lock(self.question);
        let stood_well = connection.meets(need, &connection.state()).is_ok();
        // Rare, and large.
        let ahead = OptionFuture::from((!stood_well).then(|| connection.ask_state().boxed()));
        let (is_sent_at_once, answer) = (question.is_sent_at_once(), question.send(connection));
        async move {
            let (ahead, answer, behind) = if is_sent_at_once {
                join3(ahead, answer, connection.ask_state_with_others()).await
            } else {
                let (ahead, answer) = join(ahead, answer).await;
                (ahead, answer, connection.ask_state().boxed().await)
            };
            if let Some(ahead) = ahead
                && let Err(unmet) = connection.meets(need, &ahead?)
            {
                return Ok(Err(unmet));
            }
            let (answer, state) = (answer?, behind?);
            Ok(Ok(Shown {
                answer,
                state,
                position: connection.position(state.lsn, state.timeline),
            }))
        }
    }

    fn is_sent_at_once(&self) -> bool {
        lock(self.question).is_sent_at_once()
    }
}

/// Nothing but an answer.
pub(crate) struct Ping;

impl Question for Ping {
    type Answer = ();

    fn is_prepared_once(&self) -> bool {
        true
    }

    fn send<'c>(
        &self,
        connection: &'c Connection,
    ) -> impl Future<Output = Result<(), Error>> + Send + use<'c> {
        async move { Ok((&mut &connection.inner).batch_execute("").await?) }
    }

    fn is_sent_at_once(&self) -> bool {
        true
    }
}
