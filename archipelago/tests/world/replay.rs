//! Which requests a `Writer` lets through far from the primary; the app's tests go through the others.

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::web::{self, Bytes, PayloadConfig};
use actix_web::{App, HttpServer};
use archipelago::actix::{self, Key, Writer};
use archipelago::{Error, RepoSet, Settings};
use diesel::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::shared::{DEADLINE, Repos, database, shared_world, users};

/// The same regions, of a file that says `writes = "direct"`.
mod direct {
    archipelago::repos! { primary home; replica near; replica far; writes direct }
}

#[tokio::test]
async fn a_body_that_is_too_long_for_the_proxy_is_written_from_afar() {
    let settings = database(shared_world().await, "long_body").await.in_region("near");
    let app = serve(Repos::connect(&settings).await.unwrap());
    assert!(post(app, "Ada").await.starts_with("HTTP/1.1 409 Conflict\r\n"));
    assert!(post(app, &"x".repeat(1_000_001)).await.ends_with("\r\n\r\nuser 1"));
}

#[tokio::test]
async fn writes_direct_hands_nothing_on() {
    let world = shared_world().await;
    database(world, "direct").await;
    let home = world.server("home").unwrap().url_of("direct");
    let settings = Settings::single_database::<direct::Repos>(&home).unwrap().in_region("near");
    let app = serve(direct::Repos::connect(&settings).await.unwrap());
    assert!(post(app, "Ada").await.ends_with("\r\n\r\nuser 1"));
}

async fn create<R: RepoSet>(writer: Writer<R>, name: Bytes) -> Result<String, Error> {
    let row = (users::name.eq(String::from_utf8_lossy(&name).into_owned()), users::age.eq(36));
    let id: i64 = writer
        .get_result(diesel::insert_into(users::table).values(row).returning(users::id))
        .await?;
    Ok(format!("user {id}"))
}

fn serve<R: RepoSet>(repos: R) -> SocketAddr {
    let repos = Arc::new(repos);
    let app = move || {
        App::new()
            .configure(actix::configure(repos.clone(), Key::from(&[7; 64])))
            .app_data(PayloadConfig::new(2_000_000))
            .route("/", web::post().to(create::<R>))
    };
    let server = HttpServer::new(app).workers(1).disable_signals().bind(("127.0.0.1", 0)).unwrap();
    let address = server.addrs()[0];
    tokio::spawn(server.run());
    address
}

/// The whole answer to what came through a proxy.
async fn post(app: SocketAddr, body: &str) -> String {
    let mut socket = TcpStream::connect(app).await.unwrap();
    let length = body.len();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: here\r\nfly-region: here\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    let mut answer = String::new();
    let exchange = async {
        socket.write_all((head + body).as_bytes()).await.unwrap();
        socket.read_to_string(&mut answer).await.unwrap();
    };
    timeout(DEADLINE, exchange).await.expect("no end of the answer");
    answer
}
