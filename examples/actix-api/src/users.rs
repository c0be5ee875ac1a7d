//! Users: create one or many, list them, export them, show one with their posts.

use actix_web::web::{Bytes, Json, Path, Query};
use actix_web::{HttpResponse, get, post};
use diesel::prelude::*;
use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::models::{Post, User};
use crate::paginated::paginate;
use crate::repos::{Reader, Writer};
use crate::schema::{posts, users};

#[derive(Deserialize, Insertable)]
#[diesel(table_name = users)]
struct NewUser {
    email: String,
    name: String,
}

#[derive(Deserialize)]
struct Page {
    page: i64,
}

#[derive(Serialize)]
struct UserPage {
    users: Vec<User>,
    total: i64,
}

#[derive(Serialize)]
struct Profile {
    user: User,
    posts: Vec<Post>,
}

#[post("/users")]
pub async fn create(writer: Writer, user: Json<NewUser>) -> Result<HttpResponse, Failure> {
    let insert = diesel::insert_into(users::table).values(user.into_inner());
    let user: User = writer.primary().get_result(insert).await?.value;
    Ok(HttpResponse::Created().json(user))
}

/// All of them or none: one statement, one round trip.
#[post("/users/batch")]
pub async fn create_all(writer: Writer, all: Json<Vec<NewUser>>) -> Result<HttpResponse, Failure> {
    let insert = diesel::insert_into(users::table).values(all.into_inner());
    let users: Vec<User> = writer.primary().load(insert.returning(users::all_columns)).await?.value;
    Ok(HttpResponse::Created().json(users))
}

#[get("/users")]
pub async fn list(reader: Reader, page: Query<Page>) -> Result<Json<UserPage>, Failure> {
    let query = paginate(users::table.order(users::id), page.page);
    let rows: Vec<(User, i64)> = reader.replica().load(query).await?;
    let total = rows.first().map_or(0, |(_, total)| *total);
    Ok(Json(UserPage { users: rows.into_iter().map(|(user, _)| user).collect(), total }))
}

/// All users, however many: the rows go out while they come in.
#[get("/users.csv")]
pub async fn export(reader: Reader) -> Result<HttpResponse, Failure> {
    let query = users::table.select((users::id, users::email)).order(users::id);
    let rows = reader.replica().load_stream::<(i64, String)>(query).await?;
    let lines = rows.map_ok(|(id, email)| Bytes::from(format!("{id},{email}\n")));
    Ok(HttpResponse::Ok().content_type("text/csv").streaming(lines))
}

/// Both reads show one state of the database.
#[get("/users/{id}")]
pub async fn show(reader: Reader, id: Path<i64>) -> Result<Json<Profile>, Failure> {
    let id = id.into_inner();
    let profile = reader.replica().snapshot(async move |reads| {
        let user: User = reads.get_result(users::table.find(id)).await?;
        let posts = reads.load(Post::belonging_to(&user).order(posts::id)).await?;
        Ok(Profile { user, posts })
    });
    Ok(Json(profile.await?))
}
