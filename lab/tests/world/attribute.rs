//! `#[archipelago_lab::test]`: what a test gets, what it shares, and what stays after it.

use std::collections::BTreeSet;
use std::sync::Mutex;

use archipelago_lab::{LabError, Role, World, eventually};

use crate::{DEADLINE, sql};

/// The ports of the primaries that the tests with the same regions got.
static SHARED: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

async fn write_alone(world: &World, note: &str) {
    SHARED.lock().unwrap().insert(world.primary().port());
    assert_eq!(SHARED.lock().unwrap().len(), 1, "all of these tests share the same servers");
    sql::write(&world.primary().url(), note).await;
    world.catch_up().await.unwrap();
    for server in world.servers() {
        assert_eq!(sql::notes(&server.url()).await, [note], "{}", server.region());
    }
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_test_has_a_database_of_its_own_on_every_server(world: World) {
    write_alone(&world, "one").await;
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn its_neighbour_uses_the_same_name_for_a_table(world: World) {
    write_alone(&world, "another").await;
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn the_regions_are_those_of_the_attribute(world: World) {
    let servers: Vec<_> = world.servers().map(|server| (server.region(), server.role())).collect();
    assert_eq!(servers, [("home", Role::Primary), ("near", Role::Replica), ("far", Role::Replica)]);
}

#[archipelago_lab::test(primary = "home")]
async fn a_primary_alone(world: World) {
    assert_eq!(world.replicas().count(), 0);
    sql::write(&world.primary().url(), "hello").await;
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn shared_servers_cannot_be_harmed(world: World) {
    let near = world.server("near").unwrap();
    let refused = near.pause_replay().await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "other tests use the servers of this test too, so it cannot pause a replica: give it servers of its own, as in \
         `#[archipelago_lab::test(primary = \"home\", own_servers)]`"
    );
    assert!(matches!(near.stop().await, Err(LabError::SharedServers { .. })));
    assert!(matches!(world.primary().stop().await, Err(LabError::SharedServers { .. })));
    let primary = world.primary().clone();
    assert!(matches!(world.shutdown().await, Err(LabError::SharedServers { .. })));
    primary.position().await.unwrap();
}

#[archipelago_lab::test(primary = "home", replicas = ["near"], own_servers)]
async fn an_own_replica_can_be_paused(world: World) {
    let near = world.server("near").unwrap();
    sql::write(&world.primary().url(), "before").await;
    world.catch_up().await.unwrap();

    near.pause_replay().await.unwrap();
    sql::write(&world.primary().url(), "after").await;
    assert_eq!(sql::notes(&near.url()).await, ["before"]);

    near.resume_replay().await.unwrap();
    world.catch_up().await.unwrap();
    assert_eq!(sql::notes(&near.url()).await, ["after", "before"]);
}

static OWN: Mutex<u16> = Mutex::new(0);

#[archipelago_lab::test(primary = "home", own_servers)]
#[ignore = "run by another test"]
async fn owner(world: World) {
    *OWN.lock().unwrap() = world.primary().port();
    sql::write(&world.primary().url(), "hello").await;
}

#[test]
fn own_servers_are_gone_after_the_test() {
    owner();
    std::net::TcpStream::connect(("127.0.0.1", *OWN.lock().unwrap())).unwrap_err();
}

static NAME: Mutex<String> = Mutex::new(String::new());

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
#[ignore = "run by another test"]
#[should_panic(expected = "as another test wants it")]
async fn a_panic_with_an_open_session_and_a_name_too_long_for_a_database(world: World) {
    let session = sql::connect(&world.primary().url()).await;
    *NAME.lock().unwrap() =
        session.query_one("SELECT current_database()::text", &[]).await.unwrap().get(0);
    std::mem::forget(session);
    panic!("as another test wants it");
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn the_database_of_a_test_that_panics_is_dropped(world: World) {
    let test = a_panic_with_an_open_session_and_a_name_too_long_for_a_database;
    let panic = tokio::task::spawn_blocking(test).await.unwrap_err().into_panic();
    assert_eq!(panic.downcast_ref(), Some(&"as another test wants it"));

    let name = &NAME.lock().unwrap().clone();
    assert!(
        name.starts_with("a_panic_with_an_open_session_and_a_name_") && name.len() == 63,
        "{name}"
    );
    let admin = sql::connect(&world.primary().admin_url()).await;
    eventually("the database is gone", DEADLINE, async || {
        let of_that_name = "SELECT FROM pg_database WHERE datname = $1";
        admin.query(of_that_name, &[name]).await.unwrap().is_empty()
    })
    .await;
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn an_error_can_be_returned(world: World) -> Result<(), LabError> {
    world.catch_up().await
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
#[should_panic(expected = "this very panic")]
async fn a_panic_can_be_expected(_world: World) {
    panic!("this very panic");
}

#[archipelago_lab::test(primary = "home", replicas = ["near", "far"])]
async fn a_test_may_block_in_place(world: World) {
    let url = world.primary().url();
    let connected = tokio::task::block_in_place(|| {
        tokio::runtime::Handle::current().block_on(sql::connect(&url))
    });
    assert!(!connected.is_closed());
}

const HOME: &str = "home";
const REPLICAS: &[&str] = &["near", "far"];

#[archipelago_lab::test(primary = HOME, replicas = REPLICAS)]
async fn regions_may_be_constants(world: World) {
    write_alone(&world, "by constants").await;
}

#[archipelago_lab::test(primary = "home", flavor = "current_thread")]
async fn a_test_may_run_on_one_thread(world: World) {
    let other = tokio::spawn(async { std::thread::current().id() });
    assert_eq!(other.await.unwrap(), std::thread::current().id());
    sql::write(&world.primary().url(), "hello").await;
}
