//! Every write of the app. A `Writer` leads to the primary.

use archipelago::Error;
use diesel::prelude::*;

use crate::repos::Writer;
use crate::schema::users;
use crate::users::{Changes, NewUser, User};

/// Creates a user.
///
/// # Errors
/// When the database cannot answer.
pub async fn create(writer: &Writer, user: &NewUser) -> Result<User, Error> {
    writer.get_result(diesel::insert_into(users::table).values(user).returning(User::as_returning())).await
}

/// Changes a user; none when there is no such user.
///
/// # Errors
/// When the database cannot answer.
pub async fn update(writer: &Writer, id: i64, changes: &Changes) -> Result<Option<User>, Error> {
    writer.optional(diesel::update(users::table.find(id)).set(changes).returning(User::as_returning())).await
}

/// Deletes a user; false when there is no such user.
///
/// # Errors
/// When the database cannot answer.
pub async fn delete(writer: &Writer, id: i64) -> Result<bool, Error> {
    Ok(writer.execute(diesel::delete(users::table.find(id))).await? > 0)
}
