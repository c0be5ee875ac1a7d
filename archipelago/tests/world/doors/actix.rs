//! The door to Actix.

use std::net::SocketAddr;

use actix_web::http::header::CACHE_CONTROL;
use actix_web::middleware::from_fn;
use actix_web::web::{self, Data, Path, PayloadConfig};
use actix_web::{App, HttpServer, Responder};
use archipelago::actix::{Reader, Writer, answer_for, configure};
use archipelago::{Error, RepoSet};

use super::{CACHED, Door, LONGEST_BODY, Site, create, keys, list, other, raise, show};
use crate::world::setup::Repos;

pub struct Actix;

impl Door for Actix {
    async fn serve(site: Site) -> SocketAddr {
        let app = move || {
            App::new()
                .configure(configure(site.repos.clone(), keys()))
                .configure(configure(site.other.clone(), keys()))
                .app_data(Data::new(site.clone()))
                .app_data(PayloadConfig::new(LONGEST_BODY))
                .wrap(from_fn(answer_for))
                .route("/", web::get().to(get::<Repos>))
                .route("/", web::post().to(post::<Repos>))
                .route("/user/{id}", web::get().to(get_user))
                .route("/raise/{code}", web::post().to(post_raise))
                .route("/held", web::get().to(get_held))
                .route("/held", web::post().to(post_held))
                .route("/other", web::get().to(get::<other::Repos>))
                .route("/other", web::post().to(post::<other::Repos>))
        };
        let server = HttpServer::new(app).workers(1).disable_signals();
        let server = server.bind(("127.0.0.1", 0)).unwrap();
        let address = server.addrs()[0];
        tokio::spawn(server.run());
        address
    }
}

async fn get<R: RepoSet>(reader: Reader<R>) -> Result<String, Error> {
    list(reader.replica()).await
}

async fn post<R: RepoSet>(writer: Writer<R>, name: String) -> Result<String, Error> {
    create(writer.primary(), &name).await
}

async fn get_user(reader: Reader<Repos>, id: Path<i64>) -> Result<impl Responder, Error> {
    let name = show(reader.replica(), *id).await?;
    Ok(name.customize().insert_header((CACHE_CONTROL, CACHED)))
}

async fn post_raise(writer: Writer<Repos>, code: Path<String>) -> Result<String, Error> {
    raise(writer.primary(), &code).await
}

async fn get_held(reader: Reader<Repos>, site: Data<Site>) -> Result<String, Error> {
    let names = list(reader.replica()).await;
    site.held.hold().await;
    names
}

async fn post_held(writer: Writer<Repos>, site: Data<Site>, name: String) -> Result<String, Error> {
    let created = create(writer.primary(), &name).await;
    site.held.hold().await;
    created
}
