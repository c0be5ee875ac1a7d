//! The door to axum.

use std::net::SocketAddr;

use archipelago::axum::{Reader, VisitorLayer, Writer};
use archipelago::{Error, RepoSet};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::response::IntoResponse;
use axum::routing;
use tokio::net::TcpListener;

use super::{CACHED, Door, LONGEST_BODY, Site, create, keys, list, other, raise, show};
use crate::world::setup::Repos;

pub struct Axum;

impl Door for Axum {
    async fn serve(site: Site) -> SocketAddr {
        let router = Router::new()
            .route("/", routing::get(get::<Repos>).post(post::<Repos>))
            .route("/user/{id}", routing::get(get_user))
            .route("/raise/{code}", routing::post(post_raise))
            .route("/held", routing::get(get_held).post(post_held))
            .route("/other", routing::get(get::<other::Repos>).post(post::<other::Repos>))
            .layer(VisitorLayer::new(site.repos.clone(), keys()))
            .layer(VisitorLayer::new(site.other.clone(), keys()))
            .layer(DefaultBodyLimit::max(LONGEST_BODY))
            .with_state(site);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, router).into_future());
        address
    }
}

async fn get<R: RepoSet>(reader: Reader<R>) -> Result<String, Error> {
    list(reader.replica()).await
}

async fn post<R: RepoSet>(writer: Writer<R>, name: String) -> Result<String, Error> {
    create(writer.primary(), &name).await
}

async fn get_user(reader: Reader<Repos>, Path(id): Path<i64>) -> Result<impl IntoResponse, Error> {
    let name = show(reader.replica(), id).await?;
    Ok(([("cache-control", CACHED)], name))
}

async fn post_raise(writer: Writer<Repos>, Path(code): Path<String>) -> Result<String, Error> {
    raise(writer.primary(), &code).await
}

async fn get_held(reader: Reader<Repos>, State(site): State<Site>) -> Result<String, Error> {
    let names = list(reader.replica()).await;
    site.held.hold().await;
    names
}

async fn post_held(
    writer: Writer<Repos>,
    State(site): State<Site>,
    name: String,
) -> Result<String, Error> {
    let created = create(writer.primary(), &name).await;
    site.held.hold().await;
    created
}
