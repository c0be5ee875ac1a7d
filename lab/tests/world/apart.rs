//! Servers far from each other: how distance and cuts affect replication and sessions.

use std::time::{Duration, Instant};

use archipelago_lab::{Distances, Server, World, eventually};
use tokio_postgres::types::PgLsn;

use crate::{DEADLINE, folders, sql};

const SOON: Duration = Duration::from_secs(20);
const FAR: Duration = Duration::from_millis(200);

async fn world() -> World {
    let distances = Distances::default().with_round_trip("home", "far", FAR);
    World::builder()
        .primary("home")
        .replicas(["near", "far"])
        .distances(distances)
        .start()
        .await
        .unwrap()
}

async fn write(world: &World, note: &str) -> PgLsn {
    sql::write(&world.primary().url(), note).await;
    world.primary().position().await.unwrap()
}

async fn replayed(server: &Server, position: PgLsn) {
    server.wait_until_replayed(position, SOON).await.unwrap();
}

#[tokio::test]
async fn replicas_and_sessions_pay_for_the_distance() {
    let world = world().await;
    let (near, far) = (world.server("near").unwrap(), world.server("far").unwrap());
    write(&world, "the table").await;

    let primary = sql::connect(&world.primary().url()).await;
    let since = Instant::now();
    primary.execute("INSERT INTO notes VALUES ('far')", &[]).await.unwrap();
    let written = world.primary().position().await.unwrap();
    replayed(far, written).await;
    assert!(since.elapsed() >= FAR / 2, "replicated in {:?}", since.elapsed());
    replayed(near, written).await;

    assert_eq!(world.primary().url_from("home").unwrap(), world.primary().url());
    let session = sql::connect(&world.primary().url_from("far").unwrap()).await;
    let since = Instant::now();
    session.query("SELECT note FROM notes", &[]).await.unwrap();
    assert!(since.elapsed() >= FAR, "asked in {:?}", since.elapsed());

    world.create_database("other").await.unwrap();
    let other = sql::connect(&far.url_of_from("other", "home").unwrap()).await;
    assert_eq!(
        other.query_one("SELECT current_database()::text", &[]).await.unwrap().get::<_, String>(0),
        "other"
    );
}

#[tokio::test]
async fn a_replica_behind_a_cut_shows_the_past_until_it_is_healed() {
    let world = world().await;
    let (near, far) = (world.server("near").unwrap(), world.server("far").unwrap());
    replayed(far, write(&world, "before").await).await;

    world.links().cut("home", "far").unwrap();
    let after = write(&world, "after").await;
    replayed(near, after).await;
    assert_eq!(sql::notes(&near.url()).await, ["after", "before"]);
    assert_eq!(sql::notes(&far.url()).await, ["before"]);
    assert!(far.position().await.unwrap() < after);

    world.links().heal("home", "far");
    replayed(far, after).await;
    assert_eq!(sql::notes(&far.url()).await, ["after", "before"]);
}

#[tokio::test]
async fn a_session_hangs_while_its_link_is_cut() {
    let world = world().await;
    write(&world, "before").await;
    let session = sql::connect(&world.primary().url_from("elsewhere").unwrap()).await;
    session.batch_execute("BEGIN").await.unwrap();

    world.links().cut("elsewhere", "home").unwrap();
    let hanging = session.query("SELECT note FROM notes", &[]);
    let here = world.primary().url();
    tokio::select! {
        biased;
        answer = hanging => panic!("{answer:?} over a cut link"),
        // A whole new session shows how long one answer takes.
        notes = sql::notes(&here) => assert_eq!(notes, ["before"]),
    }

    world.links().heal("elsewhere", "home");
    assert_eq!(session.query("SELECT note FROM notes", &[]).await.unwrap().len(), 1);
    session.batch_execute("COMMIT").await.unwrap();
}

#[tokio::test]
async fn a_replica_starts_while_it_is_cut_off() {
    let world = world().await;
    let far = world.server("far").unwrap();
    far.stop().await.unwrap();
    world.links().cut("far", "home").unwrap();
    let missed = write(&world, "missed").await;

    far.start().await.unwrap();
    assert!(far.position().await.unwrap() < missed);

    world.links().heal("far", "home");
    replayed(far, missed).await;
}

#[tokio::test]
async fn a_replica_that_cannot_sign_in_starts_with_its_data() {
    let world = world().await;
    let far = world.server("far").unwrap();
    replayed(far, write(&world, "before").await).await;
    let admin = sql::connect(&far.admin_url()).await;
    let data: String = admin.query_one("SHOW data_directory", &[]).await.unwrap().get(0);
    let witness = std::path::Path::new(&data).join("witness");
    std::fs::write(&witness, "").unwrap();
    world.links().slow("home", "far", Duration::from_secs(30)).unwrap();
    far.kill().await.unwrap();
    let missed = write(&world, "missed").await;

    let since = Instant::now();
    far.start().await.unwrap();

    assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
    assert!(witness.exists(), "its data was made anew");
    assert_eq!(sql::notes(&far.url()).await, ["before"]);
    world.links().heal("home", "far");
    replayed(far, missed).await;
}

#[tokio::test]
async fn replication_that_timed_out_resumes_after_a_heal() {
    let world = world().await;
    let far = world.server("far").unwrap();
    // By default both give up after a minute.
    for (server, timeout) in
        [(world.primary(), "wal_sender_timeout"), (far, "wal_receiver_timeout")]
    {
        let admin = sql::connect(&server.admin_url()).await;
        admin.batch_execute(&format!("ALTER SYSTEM SET {timeout} = '1s'")).await.unwrap();
        admin.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    }
    let logged = |server: &Server, words: &str| {
        std::fs::read_to_string(server.log_file()).unwrap().contains(words)
    };

    world.links().cut("home", "far").unwrap();
    eventually("the primary gives up", DEADLINE, async || {
        logged(world.primary(), "terminating walsender process due to replication timeout")
    })
    .await;
    eventually("the replica gives up", DEADLINE, async || {
        logged(far, "terminating walreceiver due to timeout")
    })
    .await;
    let missed = write(&world, "missed").await;

    world.links().heal("home", "far");
    replayed(far, missed).await;
}

#[tokio::test]
async fn a_world_with_a_cut_link_ends_without_delay() {
    let (_clone, folder) = folders::clone();
    let builder = || World::builder().primary("home").replicas(["far"]).folder(&folder);
    let world = builder().start().await.unwrap();
    world.links().cut("home", "far").unwrap();
    write(&world, "kept").await;

    let since = Instant::now();
    world.shutdown().await.unwrap();

    // A primary that waits for an unreachable replica is stopped in the mode `immediate` after 20
    // s.
    assert!(since.elapsed() < Duration::from_secs(15), "{:?}", since.elapsed());
    let world = builder().start().await.unwrap();
    assert_eq!(sql::notes(&world.server("far").unwrap().url()).await, ["kept"]);
}
