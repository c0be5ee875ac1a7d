//! Histories that part, clocks that differ, and connections that vanish. Each test has a world of
//! its own.

use archipelago_lab::{LabError, Rejoined, Role, Server, World};
use tokio::time::timeout;

use crate::{DEADLINE, sql};

async fn world() -> World {
    let world = World::builder().primary("nrt").replicas(["ord", "syd"]).start().await.unwrap();
    sql::write(&world.primary().url(), "before").await;
    world.catch_up().await.unwrap();
    world
}

fn all(world: &World) -> [&Server; 3] {
    ["nrt", "ord", "syd"].map(|region| world.server(region).unwrap())
}

async fn one<T: for<'a> tokio_postgres::types::FromSql<'a>>(url: &str, query: &str) -> T {
    sql::connect(url).await.query_one(query, &[]).await.unwrap().get(0)
}

async fn is_replica(server: &Server) -> bool {
    one(&server.url(), "SELECT pg_is_in_recovery()").await
}

#[tokio::test]
async fn a_writable_twin_and_its_end() {
    let world = world().await;
    let [nrt, ord, syd] = all(&world);

    ord.start_writable().await.unwrap();

    assert_eq!((ord.role(), ord.timeline().await.unwrap()), (Role::Primary, 1));
    assert_eq!(world.primary().region(), "nrt");
    sql::write(&ord.url(), "only here").await;
    sql::write(&nrt.url(), "after").await;
    world.catch_up().await.unwrap();
    assert_eq!(sql::notes(&syd.url()).await, ["after", "before"]);
    let again = ord.start_writable().await.unwrap_err();
    assert!(matches!(again, LabError::NotAReplica { .. }), "{again}");

    // A rewind would find nothing to do on the same timeline.
    assert_eq!(world.rejoin("ord").await.unwrap(), Rejoined::Copied);
    assert_eq!(sql::notes(&ord.url()).await, ["after", "before"]);
}

#[tokio::test]
async fn two_clones_are_on_the_next_timeline() {
    let world = world().await;
    let [nrt, ord, syd] = all(&world);

    for region in ["ord", "syd"] {
        world.replace_by_clone(region).await.unwrap();
    }

    assert_eq!([nrt, ord, syd].map(Server::role), [Role::Primary; 3]);
    for (server, timeline) in [(nrt, 1), (ord, 2), (syd, 2)] {
        assert_eq!(server.timeline().await.unwrap(), timeline, "{}", server.region());
        assert!(!is_replica(server).await, "{}", server.region());
        sql::write(&server.url(), server.region()).await;
        assert_eq!(sql::notes(&server.url()).await, ["before", server.region()]);
    }
    let own = world.replace_by_clone("nrt").await.unwrap_err();
    assert!(matches!(own, LabError::IsPrimary { .. }), "{own}");

    for server in [ord, syd] {
        assert_eq!(world.rejoin(server.region()).await.unwrap(), Rejoined::Copied);
        assert_eq!(sql::notes(&server.url()).await, ["before", "nrt"]);
    }
}

#[tokio::test]
async fn a_primary_is_put_back_to_an_older_copy() {
    let world = world().await;
    let [nrt, ord, _] = all(&world);
    let backup = world.backup().await.unwrap();
    sql::write(&nrt.url(), "lost").await;
    world.catch_up().await.unwrap();
    let ahead = ord.position().await.unwrap();

    world.put_back_to(backup).await.unwrap();

    assert_eq!(nrt.timeline().await.unwrap(), 1);
    assert!(nrt.position().await.unwrap() < ahead, "its replicas are ahead");
    assert_eq!(sql::notes(&nrt.url()).await, ["before"]);
    assert_eq!(sql::notes(&ord.url()).await, ["before", "lost"]);

    sql::write(&nrt.url(), "after").await;
    for region in ["ord", "syd"] {
        assert_eq!(world.rejoin(region).await.unwrap(), Rejoined::Copied);
    }
    assert_eq!(sql::notes(&ord.url()).await, ["after", "before"]);
}

#[tokio::test]
async fn new_servers_stand_behind_the_same_urls() {
    const SYSTEM: &str = "SELECT system_identifier FROM pg_control_system()";
    let world = world().await;
    let [nrt, ord, syd] = all(&world);
    // The new primary is then in another region than at the start.
    world.switch_over("ord").await.unwrap();
    world.rejoin("nrt").await.unwrap();
    let before: i64 = one(&ord.admin_url(), SYSTEM).await;

    world.start_anew().await.unwrap();

    assert!(!nrt.is_running() && !syd.is_running());
    sql::write(&ord.url(), "restored").await;
    for replica in world.replicas() {
        replica.start().await.unwrap();
    }
    world.catch_up().await.unwrap();
    for server in [nrt, ord, syd] {
        assert_ne!(one::<i64>(&server.admin_url(), SYSTEM).await, before);
        assert_eq!(sql::notes(&server.url()).await, ["restored"], "{}", server.region());
    }
}

#[tokio::test]
async fn a_server_has_a_clock_of_its_own() {
    const NOW: &str = "SELECT extract(epoch FROM clock_timestamp())::float8";
    let world = world().await;
    let [nrt, ord, _] = all(&world);
    let ahead = async || one::<f64>(&ord.url(), NOW).await - one::<f64>(&nrt.url(), NOW).await;

    match ord.set_clock(-20).await {
        Err(LabError::NoFakeClock) => return eprintln!("skipped: {}", LabError::NoFakeClock),
        set => set.unwrap(),
    }

    assert!((-21.0..-15.0).contains(&ahead().await));
    assert!(is_replica(ord).await, "it follows as before");
    ord.set_clock(0).await.unwrap();
    assert!((-5.0..5.0).contains(&ahead().await));
}

#[tokio::test]
async fn one_connection_vanishes_and_others_work() {
    let world = world().await;
    let nrt = world.primary();
    assert!(!nrt.blackhole_one("ams").await.unwrap(), "none from there");
    let url = nrt.url_from("ams").unwrap();
    let [first, last] = [sql::connect(&url).await, sql::connect(&url).await];
    for client in [&first, &last] {
        client.execute("SELECT 1", &[]).await.unwrap();
    }

    assert!(nrt.blackhole_one("ams").await.unwrap());

    let unanswered = last.execute("SELECT 1", &[]);
    tokio::pin!(unanswered);
    first.execute("SELECT 1", &[]).await.unwrap();
    let one_more = sql::connect(&url).await;
    for _ in 0..20 {
        one_more.execute("SELECT 1", &[]).await.unwrap();
        assert!(futures_util::poll!(&mut unanswered).is_pending(), "no answer, and no end");
    }
    // The next one is another: the server goes on with what has vanished.
    assert!(nrt.blackhole_one("ams").await.unwrap());
    let unanswered = timeout(DEADLINE, one_more.execute("SELECT 1", &[]));
    tokio::pin!(unanswered);
    first.execute("SELECT 1", &[]).await.unwrap();
    assert!(futures_util::poll!(&mut unanswered).is_pending());
}
