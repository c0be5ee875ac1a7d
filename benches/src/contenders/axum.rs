//! Another web framework over the same limit: axum and tokio-postgres, with one connection to each server
//! for each thread that all requests share.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;
use std::time::Instant;

use archipelago_app::form::UserForm;
use archipelago_app::urls;
use archipelago_app::views::{IndexPage, ShowPage};
use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Form, Router};
use tokio::net::TcpListener;

use super::layout;
use super::raw::Databases;
use crate::Failed;

/// The connections. Threads take turns, as axum does not say which thread serves a request.
struct Connections {
    databases: Vec<Databases>,
    next: AtomicUsize,
}

impl Connections {
    async fn open(primary: &str, replica: &str) -> Result<Self, Failed> {
        let mut databases = Vec::new();
        for _ in 0..available_parallelism().map_or(1, usize::from) {
            databases.push(Databases::connect(primary, replica).await?);
        }
        Ok(Self { databases, next: AtomicUsize::new(0) })
    }

    fn next(&self) -> &Databases {
        &self.databases[self.next.fetch_add(1, Ordering::Relaxed) % self.databases.len()]
    }
}

/// The server, which ends only by an error.
pub(super) async fn listen(
    listener: std::net::TcpListener,
    primary: &str,
    replica: &str,
) -> Result<impl Future<Output = io::Result<()>> + Send, Failed> {
    let connections = Arc::new(Connections::open(primary, replica).await?);
    let pages = Router::new()
        .route("/users/{id}", get(show))
        .route("/users", get(index).post(create))
        .with_state(connections);
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    Ok(async move { axum::serve(listener, pages).await })
}

/// What failed is of no interest: the bench refuses wrong answers.
fn failed<E>(_: E) -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}

fn page(template: &impl Template) -> Result<Html<String>, StatusCode> {
    template.render().map(Html).map_err(failed)
}

async fn show(
    State(connections): State<Arc<Connections>>,
    Path(id): Path<i64>,
) -> Result<Html<String>, StatusCode> {
    let start = Instant::now();
    let user = connections.next().user(id).await.map_err(failed)?.ok_or(StatusCode::NOT_FOUND)?;
    page(&ShowPage::new(layout(start), &user))
}

async fn index(State(connections): State<Arc<Connections>>) -> Result<Html<String>, StatusCode> {
    let start = Instant::now();
    let found = connections.next().first_page().await.map_err(failed)?;
    let [previous, next] = [found.previous, found.next].map(|cursor| cursor.map(urls::users_page));
    page(&IndexPage { layout: layout(start), users: &found.rows, previous, next })
}

async fn create(
    State(connections): State<Arc<Connections>>,
    Form(form): Form<UserForm>,
) -> Result<Response, StatusCode> {
    let user = form.user().map_err(|_| StatusCode::UNPROCESSABLE_ENTITY)?;
    let id = connections.next().create(&user.name, user.age).await.map_err(failed)?;
    Ok((StatusCode::SEE_OTHER, [(LOCATION, urls::user(id).to_string())]).into_response())
}
