//! A user: as a row of the table, as it is created, and as it is changed.

use std::time::SystemTime;

use diesel::prelude::*;

use crate::schema::users;

/// A row of the table.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = users, check_for_backend(diesel::pg::Pg))]
pub struct User {
    /// Assigned by the database.
    pub id: i64,
    /// 1 to `MAX_NAME` characters.
    pub name: String,
    /// In years, 0 to `MAX_AGE`.
    pub age: i32,
}

/// A row of the table, and when it was written.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = users, check_for_backend(diesel::pg::Pg))]
pub struct DatedUser {
    /// The rest of the row.
    #[diesel(embed)]
    pub user: User,
    /// When the user was created. Before there was such a column: when that was added.
    pub inserted_at: SystemTime,
    /// When the user was last changed.
    pub updated_at: SystemTime,
}

/// A user to create.
#[derive(Clone, Debug, PartialEq, Eq, Insertable)]
// With defaults for missing values, Diesel would not cache the prepared INSERT.
#[diesel(table_name = users, treat_none_as_default_value = false)]
pub struct NewUser {
    /// 1 to `MAX_NAME` characters.
    pub name: String,
    /// In years, 0 to `MAX_AGE`.
    pub age: i32,
}

impl NewUser {
    /// Whether `user` has the name and age of this one.
    pub(crate) fn matches(&self, user: &User) -> bool {
        (&self.name, self.age) == (&user.name, user.age)
    }
}

/// What an update changes: at least one of them.
#[derive(Clone, Debug, PartialEq, Eq, AsChangeset)]
#[diesel(table_name = users)]
pub struct Changes {
    /// The new name; none keeps the old one.
    pub name: Option<String>,
    /// The new age; none keeps the old one.
    pub age: Option<i32>,
}

/// The longest name, in characters.
pub(crate) const MAX_NAME: usize = 100;

/// The highest age, in years.
pub(crate) const MAX_AGE: i32 = 150;
