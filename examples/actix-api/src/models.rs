//! The rows of the tables.

use diesel::prelude::*;
use serde::Serialize;

use crate::schema::{posts, users};

#[derive(Serialize, Queryable, Identifiable)]
pub struct User {
    pub id: i64,
    pub email: String,
    pub name: String,
}

#[derive(Serialize, Queryable, Identifiable, Associations)]
#[diesel(belongs_to(User))]
pub struct Post {
    pub id: i64,
    pub user_id: i64,
    pub title: String,
}
