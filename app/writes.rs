//! Every statement that writes. A [`Primary`] leads to the primary.

use archipelago::{Error, Primary};
use diesel::dsl::{AsSelect, SqlTypeOf};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::Timestamptz;
use uuid::Uuid;

use crate::schema::users;
use crate::users::{Changes, NewUser, User};

/// Creates a user, at most once for each `key`. A second call with the same key returns the user of
/// the first one, as it is now; a concurrent one waits for the first. Deleting the user frees its
/// key.
pub(crate) async fn create(
    primary: Primary<'_>,
    user: &NewUser,
    key: Option<Uuid>,
) -> Result<User, Error> {
    let Some(key) = key else {
        let insert = diesel::insert_into(users::table).values(user);
        return Ok(primary.get_result(insert.returning(User::as_returning())).await?.value);
    };
    let insert = diesel::insert_into(users::table).values((user, users::idempotency_key.eq(key)));
    let insert = InsertOrGetExisting { insert, columns: User::as_select() };
    Ok(primary.get_result(insert).await?.value)
}

/// Changes a user; none if there is none with this id.
pub(crate) async fn update(
    primary: Primary<'_>,
    id: i64,
    changes: &Changes,
) -> Result<Option<User>, Error> {
    let now = diesel::dsl::now.into_sql::<Timestamptz>().at_time_zone("UTC");
    let update = diesel::update(users::table.find(id)).set((changes, users::updated_at.eq(now)));
    Ok(primary.optional(update.returning(User::as_returning())).await?.value)
}

/// Deletes a user; false if there is none with this id.
pub(crate) async fn delete(primary: Primary<'_>, id: i64) -> Result<bool, Error> {
    Ok(primary.execute(diesel::delete(users::table.find(id))).await?.value > 0)
}

/// An INSERT into the users that returns the existing row if there is one with the same key.
///
/// It updates that row without changing it, because ON CONFLICT DO NOTHING would return no row.
/// Diesel never caches the prepared statement of its own `do_update`, which would cost a round trip
/// more.
#[derive(QueryId)]
struct InsertOrGetExisting<I> {
    insert: I,
    columns: AsSelect<User, Pg>,
}

impl<I: QueryFragment<Pg>> QueryFragment<Pg> for InsertOrGetExisting<I> {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.insert.walk_ast(pass.reborrow())?;
        pass.push_sql(" ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL");
        pass.push_sql(" DO UPDATE SET idempotency_key = excluded.idempotency_key RETURNING ");
        self.columns.walk_ast(pass)
    }
}

impl<I> Query for InsertOrGetExisting<I> {
    type SqlType = SqlTypeOf<AsSelect<User, Pg>>;
}
