//! The yardstick: what an expert would write with Actix, diesel-async and bb8 for one primary and
//! one replica.

use std::io;
use std::net::TcpListener;
use std::time::Instant;

use actix_web::dev::Server;
use actix_web::error::{
    ErrorInternalServerError, ErrorNotFound, ErrorServiceUnavailable, ErrorUnprocessableEntity,
};
use actix_web::http::header::LOCATION;
use actix_web::web::{Data, Form, Path, Query, get, post};
use actix_web::{App, HttpResponse, HttpServer, Result};
use archipelago_app::form::UserForm;
use archipelago_app::paging::{Cursor, Page};
use archipelago_app::reads::{dated_user_query, page_query};
use archipelago_app::schema::users;
use archipelago_app::urls;
use archipelago_app::users::{DatedUser, User};
use archipelago_app::views::{IndexPage, ShowPage};
use diesel::{OptionalExtension, SelectableHelper};
use diesel_async::pooled_connection::bb8::Pool;
use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::{layout, page};

/// The most connections of one worker to one server.
pub const POOL_SIZE: u32 = 8;

struct Databases {
    primary: Pool<AsyncPgConnection>,
    replica: Pool<AsyncPgConnection>,
}

pub(super) fn listen(
    listener: TcpListener,
    primary: String,
    replica: String,
) -> io::Result<Server> {
    let server = HttpServer::new(move || {
        // A pool for each worker: a pool that all workers share costs a fifth of the throughput.
        let databases = Databases { primary: pool(&primary), replica: pool(&replica) };
        App::new()
            .app_data(Data::new(databases))
            .route("/users/{id}", get().to(show))
            .route("/users", get().to(index))
            .route("/users", post().to(create))
    });
    Ok(server.disable_signals().listen(listener)?.run())
}

/// A pool, which opens its connections when they are needed.
pub fn pool(url: &str) -> Pool<AsyncPgConnection> {
    let mut config = ManagerConfig::default();
    // By default every checkout runs `SELECT 1`, which costs a third of the throughput.
    config.recycling_method = RecyclingMethod::Fast;
    Pool::builder()
        .max_size(POOL_SIZE)
        .build_unchecked(AsyncDieselConnectionManager::new_with_config(url, config))
}

async fn show(databases: Data<Databases>, id: Path<i64>) -> Result<HttpResponse> {
    let start = Instant::now();
    let mut replica = databases.replica.get().await.map_err(ErrorServiceUnavailable)?;
    let user = dated_user_query(*id)
        .get_result(&mut replica)
        .await
        .optional()
        .map_err(ErrorInternalServerError)?;
    drop(replica);
    let user: DatedUser = user.ok_or_else(|| ErrorNotFound("no such user"))?;
    page(&ShowPage::new(layout(start), &user))
}

async fn index(databases: Data<Databases>, cursor: Query<Cursor>) -> Result<HttpResponse> {
    let start = Instant::now();
    let mut replica = databases.replica.get().await.map_err(ErrorServiceUnavailable)?;
    let rows = page_query(*cursor).load(&mut replica).await.map_err(ErrorInternalServerError)?;
    drop(replica);
    let found = Page::new(*cursor, rows, |user: &User| user.id);
    let [previous, next] = [found.previous, found.next].map(|cursor| cursor.map(urls::users_page));
    page(&IndexPage { layout: layout(start), users: &found.rows, previous, next })
}

async fn create(databases: Data<Databases>, form: Form<UserForm>) -> Result<HttpResponse> {
    let user = form.user().map_err(|_| ErrorUnprocessableEntity("no such age, or no name"))?;
    let mut primary = databases.primary.get().await.map_err(ErrorServiceUnavailable)?;
    let created = diesel::insert_into(users::table).values(&user).returning(User::as_returning());
    let created: User = created.get_result(&mut primary).await.map_err(ErrorInternalServerError)?;
    Ok(HttpResponse::SeeOther()
        .insert_header((LOCATION, urls::user(created.id).to_string()))
        .finish())
}
