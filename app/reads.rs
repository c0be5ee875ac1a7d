//! Every query that reads. A [`Replica`] has no method that writes.

use archipelago::{Error, Replica};
use diesel::dsl::{AsSelect, Find, Select};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::Bool;

use crate::paging::{Cursor, PAGE_SIZE, Page};
use crate::schema::users;
use crate::users::{DatedUser, User};

/// A page of the list. One query on the primary key, however long the table is.
pub(crate) async fn page(replica: Replica<'_>, cursor: Cursor) -> Result<Page<User>, Error> {
    Ok(Page::new(cursor, replica.load(page_query(cursor)).await?, |user| user.id))
}

/// Selects the rows of a page and one more, the nearest to the cursor first.
#[must_use]
pub fn page_query(cursor: Cursor) -> PageQuery {
    let query = users::table.select(User::as_select()).limit(i64::from(PAGE_SIZE) + 1).into_boxed();
    match cursor {
        Cursor { before: Some(id), .. } => query.filter(users::id.lt(id)).order(users::id.desc()),
        Cursor { after: Some(id), .. } => query.filter(users::id.gt(id)).order(users::id.asc()),
        Cursor { .. } => query.order(users::id.asc()),
    }
}

/// A SELECT of users that is built at run time.
pub type PageQuery = users::BoxedQuery<'static, Pg, AsSelect<User, Pg>>;

/// One user; none if there is none with this id.
pub(crate) async fn user(replica: Replica<'_>, id: i64) -> Result<Option<User>, Error> {
    replica.optional(user_query(id)).await
}

/// One user, and when it was written; none if there is none with this id.
pub(crate) async fn dated_user(replica: Replica<'_>, id: i64) -> Result<Option<DatedUser>, Error> {
    replica.optional(dated_user_query(id)).await
}

/// Selects one user, and when it was written.
#[must_use]
pub fn dated_user_query(id: i64) -> DatedUserQuery {
    users::table.find(id).select(DatedUser::as_select())
}

/// A SELECT of one user, and of when it was written.
pub type DatedUserQuery = Select<Find<users::table, i64>, AsSelect<DatedUser, Pg>>;

/// Selects one user.
#[must_use]
pub fn user_query(id: i64) -> UserQuery {
    users::table.find(id).select(User::as_select())
}

/// A SELECT of one user.
pub type UserQuery = Select<Find<users::table, i64>, AsSelect<User, Pg>>;

/// Checks that a database answers.
pub(crate) async fn ping(replica: Replica<'_>) -> Result<(), Error> {
    replica.get_result::<bool>(diesel::select(true.into_sql::<Bool>())).await.map(drop)
}
