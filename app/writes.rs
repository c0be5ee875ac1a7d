//! Every statement that writes. A `Writer` leads to the primary.

use archipelago::Error;
use diesel::dsl::{AsSelect, SqlTypeOf};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use uuid::Uuid;

use crate::repos::Writer;
use crate::schema::users;
use crate::users::{Changes, NewUser, User};

/// Creates a user, at most once for each `key`. A second call with the same key returns the user of
/// the first one, as it is now; a concurrent one waits for the first. Deleting the user frees its
/// key.
pub(crate) async fn create(
    writer: &Writer,
    user: &NewUser,
    key: Option<Uuid>,
) -> Result<User, Error> {
    let Some(key) = key else {
        let insert = diesel::insert_into(users::table).values(user);
        return writer.get_result(insert.returning(User::as_returning())).await;
    };
    let insert = diesel::insert_into(users::table).values((user, users::idempotency_key.eq(key)));
    writer.get_result(InsertOrGetExisting { insert, columns: User::as_select() }).await
}

/// Changes a user; none if there is none with this id.
pub(crate) async fn update(
    writer: &Writer,
    id: i64,
    changes: &Changes,
) -> Result<Option<User>, Error> {
    let update = diesel::update(users::table.find(id)).set(changes);
    writer.optional(update.returning(User::as_returning())).await
}

/// Deletes a user; false if there is none with this id.
pub(crate) async fn delete(writer: &Writer, id: i64) -> Result<bool, Error> {
    Ok(writer.execute(diesel::delete(users::table.find(id))).await? > 0)
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
