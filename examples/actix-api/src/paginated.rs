//! A page of any query, with the count of all its rows: as in Diesel's guide.

use archipelago::PlainSelect;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::BigInt;

const PER_PAGE: i64 = 20;

#[derive(QueryId)]
pub struct Paginated<T> {
    query: T,
    offset: i64,
}

/// The page of this number, from 1.
pub fn paginate<T>(query: T, page: i64) -> Paginated<T> {
    Paginated { query, offset: page.clamp(1, 1_000_000).saturating_sub(1) * PER_PAGE }
}

/// It only reads where the query inside does: so a replica accepts it.
impl<T: PlainSelect> PlainSelect for Paginated<T> {}

impl<T: Query> Query for Paginated<T> {
    type SqlType = (T::SqlType, BigInt);
}

impl<T: QueryFragment<Pg>> QueryFragment<Pg> for Paginated<T> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("SELECT *, count(*) OVER () FROM (");
        self.query.walk_ast(out.reborrow())?;
        out.push_sql(") AS paged LIMIT ");
        out.push_bind_param::<BigInt, _>(&PER_PAGE)?;
        out.push_sql(" OFFSET ");
        out.push_bind_param::<BigInt, _>(&self.offset)
    }
}
