//! What Diesel must be able to do with a query: bind it, run it, and load its rows.

mod executed;
mod plain_select;

use diesel::QueryResult;
use diesel::deserialize::FromSqlRow;
use diesel::expression::QueryMetadata;
use diesel::pg::{Pg, PgQueryBuilder};
use diesel::query_builder::{AsQuery, QueryBuilder, QueryFragment, QueryId};
use diesel::query_dsl::CompatibleType;
use diesel::result::Error::DeserializationError;
use diesel_async::{AsyncConnectionCore, AsyncPgConnection};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};

pub use self::executed::ExecutedOnAReplica;
pub use self::plain_select::PlainSelect;
use crate::error::Error;

/// Rows that come one after another.
type Rows<U> = BoxStream<'static, QueryResult<U>>;

/// A query whose rows load as `U`s.
///
/// This is a bound, not a trait to implement: every Diesel query for `PostgreSQL` has it, for each
/// type that fits its columns.
pub trait LoadsAs<U>: AsQuery<Query: QueryFragment<Pg> + QueryId + Send> {
    /// Sends the query down `connection`.
    #[doc(hidden)]
    fn load<'c>(
        query: &Self::Query,
        connection: &'c AsyncPgConnection,
    ) -> impl Future<Output = QueryResult<Vec<U>>> + Send + use<'c, Self, U>;

    /// As `load`, for rows that come one after another.
    #[doc(hidden)]
    fn stream<'c>(
        query: &Self::Query,
        connection: &'c AsyncPgConnection,
    ) -> impl Future<Output = QueryResult<Rows<U>>> + Send + use<'c, Self, U>;
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
        // Through a shared reference Diesel pipelines. It has rendered the query's SQL and
        // parameters when this returns, so the future does not borrow the query.
        let rows = AsyncConnectionCore::load(&mut &*connection, query);
        async move {
            rows.await?
                .map(|row| U::build_from_row(&row?).map_err(DeserializationError))
                .try_collect()
                .await
        }
    }

    fn stream<'c>(
        query: &Q::Query,
        connection: &'c AsyncPgConnection,
    ) -> impl Future<Output = QueryResult<Rows<U>>> + Send + use<'c, Q, U, ST> {
        let rows = AsyncConnectionCore::load(&mut &*connection, query);
        async move {
            Ok(rows
                .await?
                .map(|row| U::build_from_row(&row?).map_err(DeserializationError))
                .boxed())
        }
    }
}

/// The first of the rows, or [`NotFound`](diesel::result::Error::NotFound).
pub(crate) fn first_row<U>(rows: Vec<U>) -> Result<U, Error> {
    rows.into_iter().next().ok_or_else(|| diesel::result::Error::NotFound.into())
}

/// The SQL of a statement, without the values of its parameters. None where Diesel cannot render
/// it.
pub(crate) fn sql(statement: &impl QueryFragment<Pg>) -> Option<String> {
    let mut sql = PgQueryBuilder::new();
    statement.to_sql(&mut sql, &Pg).ok()?;
    Some(sql.finish())
}
