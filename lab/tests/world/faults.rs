//! Delayed replay, and servers that stop and start. Each test has a world of its own.

use std::time::{Duration, Instant};

use archipelago_lab::{LabError, World, eventually};

use crate::{DEADLINE, sql};

async fn world() -> World {
    World::builder().primary("home").replicas(["near", "far"]).start().await.unwrap()
}

#[tokio::test]
async fn a_paused_replica_shows_the_past() {
    let world = world().await;
    let (near, far) = (world.server("near").unwrap(), world.server("far").unwrap());
    sql::write(&world.primary().url(), "before").await;
    let before = world.primary().position().await.unwrap();
    near.wait_until_replayed(before, DEADLINE).await.unwrap();

    near.pause_replay().await.unwrap();
    sql::write(&world.primary().url(), "after").await;
    let after = world.primary().position().await.unwrap();

    far.wait_until_replayed(after, DEADLINE).await.unwrap();
    let error = near.wait_until_replayed(after, Duration::from_secs(2)).await.unwrap_err();
    let LabError::NotReplayed { reached, wanted, paused: true, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(
        (*wanted, reached.unwrap() >= before, reached.unwrap() < after),
        (after, true, true)
    );
    assert!(error.to_string().contains("its replay is paused: resume it"), "{error}");
    assert_eq!(sql::notes(&near.url()).await, ["before"]);

    near.resume_replay().await.unwrap();
    near.wait_until_replayed(after, DEADLINE).await.unwrap();
    assert_eq!(sql::notes(&near.url()).await, ["after", "before"]);
    world.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_lagging_replica_shows_each_commit_later() {
    let world = world().await;
    let (near, far) = (world.server("near").unwrap(), world.server("far").unwrap());
    sql::write(&world.primary().url(), "before").await;
    near.wait_until_replayed(world.primary().position().await.unwrap(), DEADLINE).await.unwrap();

    let delay = Duration::from_millis(1500);
    near.lag(delay).await.unwrap();
    for note in ["first", "second"] {
        let written = Instant::now();
        sql::write(&world.primary().url(), note).await;
        let position = world.primary().position().await.unwrap();
        far.wait_until_replayed(position, DEADLINE).await.unwrap();
        let shown = sql::notes(&near.url()).await.contains(&note.to_owned());
        assert!(!shown || written.elapsed() >= delay, "shown after {:?}", written.elapsed());
        near.wait_until_replayed(position, DEADLINE).await.unwrap();
        assert!(sql::notes(&near.url()).await.contains(&note.to_owned()));
        assert!(written.elapsed() >= delay, "{:?}", written.elapsed());
        // A restart keeps the lag.
        near.stop().await.unwrap();
        near.start().await.unwrap();
    }

    near.lag(Duration::from_hours(1)).await.unwrap();
    sql::write(&world.primary().url(), "third").await;
    let position = world.primary().position().await.unwrap();
    far.wait_until_replayed(position, DEADLINE).await.unwrap();
    assert_eq!(sql::notes(&near.url()).await, ["before", "first", "second"]);
    near.lag(Duration::ZERO).await.unwrap();
    near.wait_until_replayed(position, DEADLINE).await.unwrap();
    assert_eq!(sql::notes(&near.url()).await, ["before", "first", "second", "third"]);

    let primary = world.primary().lag(delay).await.unwrap_err();
    assert!(matches!(primary, LabError::NotAReplica { .. }), "{primary}");
    near.freeze().await.unwrap();
    assert!(matches!(near.lag(delay).await, Err(LabError::Frozen { .. })));
}

#[tokio::test]
async fn a_replica_that_was_stopped_catches_up() {
    let world = world().await;
    let near = world.server("near").unwrap();
    let port = near.port();

    near.stop().await.unwrap();
    assert!(!near.is_running());
    assert!(matches!(near.position().await, Err(LabError::NotRunning { .. })));
    sql::write(&world.primary().url(), "missed").await;
    world.create_database("meanwhile").await.unwrap();

    near.start().await.unwrap();
    assert!(near.is_running());
    assert_eq!(near.port(), port);
    assert_eq!(sql::notes(&near.url()).await, ["missed"]);
    near.start().await.unwrap();
}

#[tokio::test]
async fn replicas_follow_a_primary_that_was_stopped() {
    let world = world().await;
    sql::write(&world.primary().url(), "before").await;

    world.primary().stop().await.unwrap();
    for replica in world.replicas() {
        assert_eq!(sql::notes(&replica.url()).await, ["before"], "replicas answer");
    }
    // A replica can start without its primary.
    world.replicas().next().unwrap().stop().await.unwrap();
    world.replicas().next().unwrap().start().await.unwrap();
    world.primary().start().await.unwrap();

    sql::write(&world.primary().url(), "after").await;
    world.catch_up().await.unwrap();
}

#[tokio::test]
async fn a_server_that_dies_by_itself_is_noticed() {
    let world = world().await;
    let near = world.server("near").unwrap();
    let admin = sql::connect(&near.admin_url()).await;
    let file = "SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int";
    let pid: i32 = admin.query_one(file, &[]).await.unwrap().get(0);

    let pid = nix::unistd::Pid::from_raw(pid);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    eventually("the server is known to be gone", DEADLINE, async || !near.is_running()).await;

    near.start().await.unwrap();
    assert!(near.is_running());
}

#[tokio::test]
async fn the_longest_names_of_regions() {
    let (home, far) = (format!("home-{}", "x".repeat(58)), format!("far_{}", "x".repeat(59)));
    let world = World::builder().primary(&*home).replicas([&*far]).start().await.unwrap();

    for server in world.servers() {
        let client = sql::connect(&server.url()).await;
        let name: String = client.query_one("SHOW cluster_name", &[]).await.unwrap().get(0);
        assert_eq!((name.as_str(), name.len()), (server.region(), 63));
    }
    let admin = sql::connect(&world.primary().admin_url()).await;
    let streaming =
        admin.query_one("SELECT application_name FROM pg_stat_replication", &[]).await.unwrap();
    assert_eq!(streaming.get::<_, String>(0), far);
}

#[tokio::test]
async fn invalid_names_are_refused() {
    let refused = World::builder().primary("Nrt").start().await.unwrap_err();
    assert!(refused.to_string().starts_with("`Nrt` cannot name a region"), "{refused}");
    let twice = World::builder().primary("nrt").replicas(["ord", "nrt"]).start().await.unwrap_err();
    assert!(matches!(twice, LabError::DuplicateRegion { .. }), "{twice}");
}
