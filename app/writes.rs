//! Every write of the app. A `Writer` leads to the primary.

use archipelago::Error;
use diesel::dsl::{AsSelect, SqlTypeOf};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use uuid::Uuid;

use crate::repos::Writer;
use crate::schema::users;
use crate::users::{Changes, NewUser, User};

/// Creates a user, once for each `key`: who comes with the same one again gets the user that it created the first time, as that
/// user is now. A key is forgotten when its user is deleted. Those who come at the same moment wait for each other.
///
/// # Errors
/// When the database cannot answer.
pub async fn create(writer: &Writer, user: &NewUser, key: Option<Uuid>) -> Result<User, Error> {
    let Some(key) = key else {
        return writer
            .get_result(
                diesel::insert_into(users::table).values(user).returning(User::as_returning()),
            )
            .await;
    };
    let insert = diesel::insert_into(users::table).values((user, users::idempotency_key.eq(key)));
    writer.get_result(Once { insert, row: User::as_select() }).await
}

/// Changes a user; none when there is no such user.
///
/// # Errors
/// When the database cannot answer.
pub async fn update(writer: &Writer, id: i64, changes: &Changes) -> Result<Option<User>, Error> {
    writer
        .optional(
            diesel::update(users::table.find(id)).set(changes).returning(User::as_returning()),
        )
        .await
}

/// Deletes a user; false when there is no such user.
///
/// # Errors
/// When the database cannot answer.
pub async fn delete(writer: &Writer, id: i64) -> Result<bool, Error> {
    Ok(writer.execute(diesel::delete(users::table.find(id))).await? > 0)
}

/// An INSERT into the users, which returns the user who has the key already where there is one.
///
/// That takes an update which changes nothing, because DO NOTHING would return nothing. Diesel's own `do_update` is prepared anew
/// each time, a round trip more.
#[derive(QueryId)]
struct Once<I> {
    insert: I,
    row: AsSelect<User, Pg>,
}

impl<I: QueryFragment<Pg>> QueryFragment<Pg> for Once<I> {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.insert.walk_ast(pass.reborrow())?;
        pass.push_sql(" ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL");
        pass.push_sql(" DO UPDATE SET idempotency_key = excluded.idempotency_key RETURNING ");
        self.row.walk_ast(pass)
    }
}

impl<I> Query for Once<I> {
    type SqlType = SqlTypeOf<AsSelect<User, Pg>>;
}
