//! What a run that was killed at a bad moment can leave in a folder.

use std::fs;
use std::path::Path;

use archipelago_lab::{World, eventually};
use nix::sys::signal::{Signal, kill};

use crate::folders::clone;
use crate::holder::{Holder, is_gone, server_on, watchdogs_of};
use crate::{DEADLINE, sql};

async fn start(folder: &Path) -> World {
    let builder = World::builder().primary("nrt").replicas(["ord"]).folder(folder);
    builder.start().await.unwrap()
}

#[tokio::test]
async fn a_pid_file_that_names_another_process() {
    let (_clone, folder) = clone();
    let world = start(&folder).await;
    sql::write(&world.primary().url(), "kept").await;
    let pid_file = fs::read_to_string(folder.join("primary/postmaster.pid")).unwrap();
    drop(world);
    let (_other_clone, other_folder) = clone();
    let other = start(&other_folder).await;
    let other_server = server_on(&other_folder.join("primary"));

    let with_pid = |pid: &str| {
        let rest = pid_file.split_once('\n').unwrap().1;
        format!("{pid}\n{rest}")
    };
    let this_process = with_pid(&std::process::id().to_string());
    let another_server = with_pid(&other_server.to_string());
    for content in [&this_process, &another_server, &with_pid("2147483000"), "", "nonsense"] {
        for data in ["primary", "replica-ord"] {
            fs::write(folder.join(data).join("postmaster.pid"), content).unwrap();
        }
        let world = start(&folder).await;
        assert_eq!(sql::notes(&world.replicas().next().unwrap().url()).await, ["kept"]);
        world.shutdown().await.unwrap();
    }
    assert!(other.primary().is_running());
    assert!(!is_gone(other_server));
}

#[tokio::test]
async fn folders_that_are_half_made() {
    let (_clone, folder) = clone();
    for half in ["primary.new-1", "replica-ord.new-1", "primary/base", "replica-ord"] {
        fs::create_dir_all(folder.join(half)).unwrap();
        fs::write(folder.join(half).join("half"), "half").unwrap();
    }
    fs::write(folder.join("primary/PG_VERSION"), "15\n").unwrap();
    let world = start(&folder).await;
    assert!(world.is_new());
    world.shutdown().await.unwrap();
    let left: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("new"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_replica_of_another_primary_is_made_anew() {
    let (_clone, folder) = clone();
    drop(start(&folder).await);
    fs::remove_dir_all(folder.join("primary")).unwrap();
    let world = start(&folder).await;
    assert!(world.is_new());
    sql::write(&world.primary().url(), "new").await;
    world.catch_up().await.unwrap();
}

#[tokio::test]
async fn a_replica_that_cannot_follow_is_made_anew() {
    let (_clone, folder) = clone();
    let world = start(&folder).await;
    // It is promoted behind the lab's back, and writes what its primary never will.
    let replica = sql::connect(&world.replicas().next().unwrap().admin_url()).await;
    replica.execute("SELECT pg_promote()", &[]).await.unwrap();
    replica.batch_execute("CREATE TABLE strayed (); CHECKPOINT").await.unwrap();
    drop(replica);
    sql::write(&world.primary().url(), "kept").await;
    world.shutdown().await.unwrap();

    let world = start(&folder).await;
    assert_eq!(sql::notes(&world.replicas().next().unwrap().url()).await, ["kept"]);

    // A replica whose data is damaged is made anew, too.
    drop(world);
    fs::remove_dir_all(folder.join("replica-ord/pg_wal")).unwrap();
    let world = start(&folder).await;
    assert_eq!(sql::notes(&world.replicas().next().unwrap().url()).await, ["kept"]);
}

#[tokio::test]
async fn servers_that_lost_their_watchdogs_are_stopped() {
    let (_clone, folder) = clone();
    let mut holder = Holder::start(Some(&folder), &[]).unwrap();
    for server in &holder.servers {
        for watchdog in watchdogs_of(*server) {
            kill(watchdog, Signal::SIGKILL).unwrap();
        }
    }
    holder.kill(Signal::SIGKILL);
    assert!(holder.servers.iter().all(|server| !is_gone(*server)), "they still run");

    let world = start(&folder).await;
    assert!(!world.is_new());
    eventually("the orphans are gone", DEADLINE, async || holder.servers_are_gone()).await;
}
