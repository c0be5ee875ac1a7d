//! The limit: the same pages on tokio-postgres, with one connection for each worker and server that
//! all requests share.

use std::io;
use std::net::TcpListener;
use std::time::Instant;

use actix_web::dev::Server;
use actix_web::error::{ErrorInternalServerError, ErrorNotFound, ErrorUnprocessableEntity};
use actix_web::http::header::LOCATION;
use actix_web::web::{Data, Form, Path, get, post};
use actix_web::{App, HttpResponse, HttpServer, Result};
use archipelago_app::form::UserForm;
use archipelago_app::paging::{Cursor, PAGE_SIZE, Page};
use archipelago_app::urls;
use archipelago_app::users::{DatedUser, User};
use archipelago_app::views::{IndexPage, ShowPage};
use tokio_postgres::{Client, NoTls, Row, Statement};

use super::{layout, page};

/// A worker's connections and their prepared statements. A client pipelines concurrent queries.
pub(super) struct Databases {
    primary: Client,
    insert: Statement,
    replica: Client,
    user: Statement,
    list: Statement,
}

pub(super) fn listen(
    listener: TcpListener,
    primary: String,
    replica: String,
) -> io::Result<Server> {
    let server = HttpServer::new(move || {
        let (primary, replica) = (primary.clone(), replica.clone());
        App::new()
            .data_factory(move || {
                let (primary, replica) = (primary.clone(), replica.clone());
                async move { Databases::connect(&primary, &replica).await }
            })
            .route("/users/{id}", get().to(show))
            .route("/users", get().to(index))
            .route("/users", post().to(create))
    });
    Ok(server.disable_signals().listen(listener)?.run())
}

impl Databases {
    pub(super) async fn connect(
        primary: &str,
        replica: &str,
    ) -> Result<Self, tokio_postgres::Error> {
        let (primary, to_primary) = tokio_postgres::connect(primary, NoTls).await?;
        let (replica, to_replica) = tokio_postgres::connect(replica, NoTls).await?;
        // An Actix worker's connections run on its own thread.
        tokio::spawn(to_primary);
        tokio::spawn(to_replica);
        Ok(Self {
            insert: primary
                .prepare("INSERT INTO users (name, age) VALUES ($1, $2) RETURNING id")
                .await?,
            primary,
            user: replica
                .prepare("SELECT id, name, age, inserted_at, updated_at FROM users WHERE id = $1")
                .await?,
            list: replica.prepare("SELECT id, name, age FROM users ORDER BY id LIMIT $1").await?,
            replica,
        })
    }

    pub(super) async fn user(&self, id: i64) -> Result<Option<DatedUser>, tokio_postgres::Error> {
        let row = self.replica.query_opt(&self.user, &[&id]).await?;
        Ok(row.map(|row| DatedUser {
            user: user(&row),
            inserted_at: row.get(3),
            updated_at: row.get(4),
        }))
    }

    pub(super) async fn first_page(&self) -> Result<Page<User>, tokio_postgres::Error> {
        let limit = i64::from(PAGE_SIZE) + 1;
        let rows = self.replica.query(&self.list, &[&limit]).await?;
        Ok(Page::new(Cursor::default(), rows.iter().map(user).collect(), |user| user.id))
    }

    pub(super) async fn create(&self, name: &str, age: i32) -> Result<i64, tokio_postgres::Error> {
        Ok(self.primary.query_one(&self.insert, &[&name, &age]).await?.get(0))
    }
}

fn user(row: &Row) -> User {
    User { id: row.get(0), name: row.get(1), age: row.get(2) }
}

async fn show(databases: Data<Databases>, id: Path<i64>) -> Result<HttpResponse> {
    let start = Instant::now();
    let user = databases.user(*id).await.map_err(ErrorInternalServerError)?;
    let user = user.ok_or_else(|| ErrorNotFound("no such user"))?;
    page(&ShowPage::new(layout(start), &user))
}

async fn index(databases: Data<Databases>) -> Result<HttpResponse> {
    let start = Instant::now();
    let found = databases.first_page().await.map_err(ErrorInternalServerError)?;
    let [previous, next] = [found.previous, found.next].map(|cursor| cursor.map(urls::users_page));
    page(&IndexPage { layout: layout(start), users: &found.rows, previous, next })
}

async fn create(databases: Data<Databases>, form: Form<UserForm>) -> Result<HttpResponse> {
    let user = form.user().map_err(|_| ErrorUnprocessableEntity("no such age, or no name"))?;
    let created = databases.create(&user.name, user.age).await;
    let id = created.map_err(ErrorInternalServerError)?;
    Ok(HttpResponse::SeeOther().insert_header((LOCATION, urls::user(id).to_string())).finish())
}
