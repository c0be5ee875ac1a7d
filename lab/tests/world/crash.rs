//! Servers that crash or hang, as a client sees them. Each test has a world of its own.

use std::time::{Duration, Instant};

use archipelago_lab::{LabError, World, eventually};
use nix::sys::signal::{Signal, kill};
use tokio::time::timeout;

use crate::holder::{self, Holder};
use crate::{DEADLINE, folders, sql};

/// How long to wait for what must not happen.
const A_WHILE: Duration = Duration::from_millis(500);

async fn world() -> World {
    World::builder().primary("home").replicas(["near"]).start().await.unwrap()
}

#[tokio::test]
async fn a_killed_primary_recovers_every_commit() {
    let world = world().await;
    let primary = world.primary();
    let client = sql::connect(&primary.url()).await;
    client.batch_execute("CREATE TABLE notes (note text)").await.unwrap();
    for note in 0..100 {
        client.execute("INSERT INTO notes VALUES ($1)", &[&note.to_string()]).await.unwrap();
    }
    client.batch_execute("BEGIN; INSERT INTO notes VALUES ('never committed')").await.unwrap();

    primary.kill().await.unwrap();

    assert!(!primary.is_running());
    // Unlike a stop, a crash sends no message.
    let broken = client.query("SELECT 1", &[]).await.unwrap_err();
    assert!(broken.code().is_none(), "{broken}");
    assert!(matches!(primary.position().await, Err(LabError::NotRunning { .. })));
    primary.kill().await.unwrap();

    primary.start().await.unwrap();
    assert_eq!(sql::notes(&primary.url()).await.len(), 100);
    assert!(
        std::fs::read_to_string(primary.log_file()).unwrap().contains("was not properly shut down")
    );
    world.catch_up().await.unwrap();
}

#[tokio::test]
async fn a_killed_replica_starts_again_and_follows() {
    let world = world().await;
    let near = world.server("near").unwrap();
    near.kill().await.unwrap();
    sql::write(&world.primary().url(), "missed").await;
    near.start().await.unwrap();
    assert_eq!(sql::notes(&near.url()).await, ["missed"]);
}

#[tokio::test]
async fn a_frozen_server_hangs_and_continues_where_it_was() {
    let world = world().await;
    let (primary, near) = (world.primary(), world.server("near").unwrap());
    sql::write(&primary.url(), "before").await;
    let client = sql::connect(&primary.url()).await;

    primary.freeze().await.unwrap();
    assert!(primary.is_frozen() && primary.is_running());
    let (url, query) = (primary.url(), "INSERT INTO notes VALUES ('meanwhile')");
    let mut connecting = tokio::spawn(async move { sql::notes(&url).await });
    let mut asking = tokio::spawn(async move { client.execute(query, &[]).await });
    assert!(timeout(A_WHILE, &mut asking).await.is_err(), "an answer of a frozen server");
    assert!(timeout(A_WHILE, &mut connecting).await.is_err(), "a connection to a frozen server");
    assert!(matches!(primary.position().await, Err(LabError::Frozen { .. })));
    assert_eq!(sql::notes(&near.url()).await, ["before"], "other servers answer");
    // Its replica can start meanwhile.
    near.stop().await.unwrap();
    near.start().await.unwrap();
    primary.freeze().await.unwrap();

    primary.thaw().await.unwrap();
    assert!(!primary.is_frozen());
    assert_eq!(timeout(DEADLINE, asking).await.unwrap().unwrap().unwrap(), 1);
    timeout(DEADLINE, connecting).await.unwrap().unwrap();
    world.catch_up().await.unwrap();
    assert_eq!(sql::notes(&near.url()).await, ["before", "meanwhile"]);
    primary.thaw().await.unwrap();
}

#[tokio::test]
async fn a_query_that_is_never_answered_ends() {
    let world = world().await;
    let admin = sql::connect(&world.primary().admin_url()).await;
    let pid = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'";
    let checkpointer = nix::unistd::Pid::from_raw(admin.query_one(pid, &[]).await.unwrap().get(0));
    kill(checkpointer, Signal::SIGSTOP).unwrap();

    let rejoin = async {
        let rejoined = world.rejoin("near").await;
        tokio::time::resume();
        rejoined
    };
    let no_patience = async {
        let asked = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query = 'CHECKPOINT' AND state = 'active')";
        while !admin.query_one(asked, &[]).await.unwrap().get::<_, bool>(0) {}
        // While nothing happens, a paused clock jumps to the next deadline.
        tokio::time::pause();
    };
    let (rejoined, ()) = tokio::join!(rejoin, no_patience);

    kill(checkpointer, Signal::SIGCONT).unwrap();
    let error = rejoined.unwrap_err();
    assert!(matches!(error, LabError::TimedOut { doing: "make a checkpoint", .. }), "{error}");
    world.rejoin("near").await.unwrap();
}

#[tokio::test]
async fn a_frozen_server_can_be_stopped_and_killed() {
    let world = world().await;
    let near = world.server("near").unwrap();
    let client = sql::connect(&near.url()).await;
    let firm = Duration::from_secs(15);

    near.freeze().await.unwrap();
    timeout(firm, near.stop()).await.unwrap().unwrap();
    assert!(!near.is_running() && !near.is_frozen());
    assert!(client.query("SELECT 1", &[]).await.is_err());
    assert!(matches!(near.freeze().await, Err(LabError::NotRunning { .. })));

    near.start().await.unwrap();
    near.freeze().await.unwrap();
    timeout(firm, near.kill()).await.unwrap().unwrap();
    near.start().await.unwrap();

    // A primary that stops waits for its replicas.
    near.freeze().await.unwrap();
    timeout(firm, world.shutdown()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_world_with_frozen_servers_ends_without_delay() {
    let (_clone, folder) = folders::clone();
    let world =
        World::builder().primary("home").replicas(["near"]).folder(&folder).start().await.unwrap();
    for server in world.servers() {
        server.freeze().await.unwrap();
    }
    let since = Instant::now();
    drop(world);
    assert!(since.elapsed() < Duration::from_secs(15), "{:?}", since.elapsed());
}

#[tokio::test]
async fn kill_9_leaves_no_frozen_server() {
    let (_clone, folder) = folders::clone();
    for folder in [None, Some(&*folder)] {
        let mut holder = Holder::start(folder, &[("LAB_TEST_FREEZE", "1")]).unwrap();
        let all: Vec<_> =
            holder.servers.iter().flat_map(|server| holder::tree_of(*server)).collect();
        assert!(all.len() > 6 && all.iter().all(|process| holder::is_stopped(*process)), "{all:?}");
        holder.kill(Signal::SIGKILL);
        let what = "the servers are gone, and all their processes";
        eventually(what, DEADLINE, async || all.iter().all(|process| holder::is_gone(*process)))
            .await;
        assert!(holder.servers_are_gone());
    }
}

#[tokio::test]
async fn a_frozen_orphan_is_stopped_by_the_next_start() {
    let (_clone, folder) = folders::clone();
    let mut holder = Holder::start(Some(&folder), &[("LAB_TEST_FREEZE", "1")]).unwrap();
    let all: Vec<_> = holder.servers.iter().flat_map(|server| holder::tree_of(*server)).collect();
    for watchdog in holder.servers.iter().flat_map(|server| holder::watchdogs_of(*server)) {
        kill(watchdog, Signal::SIGKILL).unwrap();
    }
    holder.kill(Signal::SIGKILL);
    // Not all of them: the system wakes a postmaster whose process group has lost its parent.
    assert!(all.iter().any(|process| holder::is_stopped(*process)), "some stand still");

    let world =
        World::builder().primary("nrt").replicas(["ord"]).folder(&folder).start().await.unwrap();
    assert!(!world.is_new());
    eventually("the orphans are gone", DEADLINE, async || {
        all.iter().all(|process| holder::is_gone(*process))
    })
    .await;
}
