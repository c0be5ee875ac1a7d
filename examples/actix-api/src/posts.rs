//! Posts: publish one with its first comment, comment, list the newest with their authors.

use actix_web::web::{Json, Path};
use actix_web::{HttpResponse, get, post};
use diesel::dsl::count;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::models::Post;
use crate::repos::{Reader, Writer};
use crate::schema::{comments, posts, users};

#[derive(Deserialize)]
struct NewPost {
    user_id: i64,
    title: String,
    first_comment: String,
}

#[derive(Deserialize)]
struct NewComment {
    user_id: i64,
    text: String,
}

#[derive(Serialize, Queryable)]
struct Entry {
    title: String,
    author: String,
    comments: i64,
}

/// Both rows or none.
#[post("/posts")]
pub async fn publish(writer: Writer, new: Json<NewPost>) -> Result<HttpResponse, Failure> {
    let post = writer.primary().transaction(async |connection| {
        let post: Post = diesel::insert_into(posts::table)
            .values((posts::user_id.eq(new.user_id), posts::title.eq(&new.title)))
            .get_result(connection)
            .await?;
        diesel::insert_into(comments::table)
            .values((
                comments::post_id.eq(post.id),
                comments::user_id.eq(new.user_id),
                comments::text.eq(&new.first_comment),
            ))
            .execute(connection)
            .await?;
        Ok::<_, archipelago::Error>(post)
    });
    Ok(HttpResponse::Created().json(post.await?.value))
}

#[post("/posts/{id}/comments")]
pub async fn comment(
    writer: Writer,
    id: Path<i64>,
    new: Json<NewComment>,
) -> Result<HttpResponse, Failure> {
    let NewComment { user_id, text } = new.into_inner();
    let row = (comments::post_id.eq(*id), comments::user_id.eq(user_id), comments::text.eq(text));
    writer.primary().execute(diesel::insert_into(comments::table).values(row)).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[get("/posts")]
pub async fn newest(reader: Reader) -> Result<Json<Vec<Entry>>, Failure> {
    let query = posts::table
        .inner_join(users::table)
        .left_join(comments::table)
        .group_by((posts::id, posts::title, users::name))
        .select((posts::title, users::name, count(comments::id.nullable())))
        .order(posts::id.desc())
        .limit(20);
    Ok(Json(reader.replica().load(query).await?))
}
