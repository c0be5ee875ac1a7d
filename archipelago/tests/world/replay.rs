//! Writes far from the primary that `Writer` does not replay; the app's tests have the others.

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::web::{self, Bytes, PayloadConfig};
use actix_web::{App, HttpServer};
use archipelago::actix::{self, Key, Writer};
use archipelago::{Error, RepoSet, Settings};
use archipelago_lab::World;
use diesel::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::setup::{DEADLINE, Repos, create_users, users};

/// The same regions with `writes = "direct"`.
mod direct {
    archipelago::repos! { primary home; replica near; replica far; writes direct }
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_body_too_large_to_replay_is_written_directly(world: World) {
    let settings = create_users(&world).await.in_region("near");
    let app = serve(Repos::connect(&settings).await.unwrap());
    assert!(post(app, "Ada").await.starts_with("HTTP/1.1 409 Conflict\r\n"));
    assert!(post(app, &"x".repeat(1_000_001)).await.ends_with("\r\n\r\nuser 1"));
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn with_direct_writes_nothing_is_replayed(world: World) {
    create_users(&world).await;
    let home = world.server("home").unwrap().url();
    let settings = Settings::single_database::<direct::Repos>(&home).unwrap().in_region("near");
    let app = serve(direct::Repos::connect(&settings).await.unwrap());
    assert!(post(app, "Ada").await.ends_with("\r\n\r\nuser 1"));
}

async fn create<R: RepoSet>(writer: Writer<R>, name: Bytes) -> Result<String, Error> {
    let row = (users::name.eq(String::from_utf8_lossy(&name).into_owned()), users::age.eq(36));
    let insert = diesel::insert_into(users::table).values(row).returning(users::id);
    let id: i64 = writer.primary().get_result(insert).await?.value;
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

/// Sends what a proxy would send, and returns the whole answer.
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
    timeout(DEADLINE, exchange).await.expect("the answer has an end");
    answer
}
