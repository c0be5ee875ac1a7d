//! URLs with several hosts: one after the other is tried.

use archipelago::{DatabaseUrl, Settings};
use archipelago_lab::World;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use tokio::net::{TcpListener, TcpSocket};

use super::setup::{Repos, create_users, users};

/// A URL of several servers, given by URLs of one each.
fn several(urls: &[DatabaseUrl], parameters: &str) -> String {
    let list =
        |part: fn(&DatabaseUrl) -> String| urls.iter().map(part).collect::<Vec<_>>().join(",");
    let (hosts, ports) = (list(DatabaseUrl::host), list(|url| url.port().to_string()));
    let login = url::Url::parse(urls[urls.len() - 1].expose()).unwrap();
    let (user, password) = (login.username(), login.password().unwrap());
    let database = login.path();
    format!(
        "postgres://{database}?host={hosts}&port={ports}&user={user}&password={password}{parameters}"
    )
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

fn at(address: std::net::SocketAddr) -> DatabaseUrl {
    format!("postgres://app@{address}/app").parse().unwrap()
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn the_first_host_that_takes_the_session_serves(world: World) {
    let home = create_users(&world).await.url("home").unwrap().clone();
    // It keeps its port, and does not listen.
    let closed = TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let [rude, mute] = [listener().await, listener().await];
    let others = [closed.local_addr(), rude.local_addr(), mute.local_addr()];
    let hosts: Vec<_> = others.into_iter().map(|other| at(other.unwrap())).chain([home]).collect();
    // It accepts, and hangs up. The other one accepts nothing, and the kernel does.
    tokio::spawn(async move { while rude.accept().await.is_ok() {} });
    let url = several(&hosts, "");
    let repos = Repos::connect(&Settings::single_database::<Repos>(&url).unwrap()).await.unwrap();
    let names: Vec<String> = repos.replica().load(users::table.select(users::name)).await.unwrap();
    assert!(names.is_empty());
    let none = diesel::delete(users::table);
    assert_eq!(repos.primary().execute(none).await.unwrap().value, 0);
    repos.shutdown().await;
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn target_session_attrs_choose_among_hosts(world: World) {
    let settings = create_users(&world).await;
    let url = |region| settings.url(region).unwrap().clone();
    diesel::define_sql_function! { fn pg_is_in_recovery() -> diesel::sql_types::Bool; }
    for (attributes, is_replica) in [
        ("any", true),
        ("read-only", true),
        ("standby", true),
        ("prefer-standby", true),
        ("read-write", false),
        ("primary", false),
    ] {
        let parameters = format!("&target_session_attrs={attributes}");
        let both = several(&[url("near"), url("home")], &parameters).parse().unwrap();
        let mut connection = archipelago::connect(&both).await.unwrap();
        let found: bool =
            diesel::select(pg_is_in_recovery()).get_result(&mut connection).await.unwrap();
        assert_eq!(found, is_replica, "{attributes}");
    }
    for (servers, attributes, expected) in [
        (["near", "far"], "read-write", "target_session_attrs: the server is read-only"),
        (["near", "far"], "primary", "target_session_attrs: the server is a standby"),
        (["home", "home"], "read-only", "target_session_attrs: the server takes writes"),
        (["home", "home"], "standby", "target_session_attrs: the server is no standby"),
    ] {
        let parameters = format!("&target_session_attrs={attributes}");
        let url = several(&servers.map(url), &parameters).parse().unwrap();
        let error = archipelago::connect(&url).await.err().unwrap().to_string();
        assert_eq!(error, expected, "{attributes}");
    }
    let primaries = several(&[url("home"), url("home")], "&target_session_attrs=prefer-standby");
    archipelago::connect(&primaries.parse().unwrap()).await.unwrap();
}
