//! What a run that was killed in the wrong moment can leave in a folder.

mod eventually;
mod holder;
mod sql;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use archipelago_lab::World;
use holder::{Holder, is_gone, server_on, watchdogs_of};
use nix::sys::signal::{Signal, kill};

#[tokio::test]
#[ignore = "run by the other tests: the process that they kill"]
async fn holder() {
    holder::hold().await;
}

fn clone() -> (tempfile::TempDir, PathBuf) {
    let clone = tempfile::tempdir().unwrap();
    fs::set_permissions(clone.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let folder = clone.path().join(".lab");
    (clone, folder)
}

async fn start(folder: &Path) -> World {
    let builder = World::builder().primary("nrt").replicas(["ord"]).folder(folder);
    builder.start().await.unwrap()
}

#[tokio::test]
async fn a_pid_file_that_names_somebody_else() {
    let (_clone, folder) = clone();
    let world = start(&folder).await;
    sql::write(&world.primary().url(), "kept").await;
    let pid_file = fs::read_to_string(folder.join("primary/postmaster.pid")).unwrap();
    drop(world);
    let (_other_clone, other_folder) = clone();
    let other = start(&other_folder).await;
    let other_server = server_on(&other_folder.join("primary"));

    let left_by_dead = |pid: &str| {
        let rest = pid_file.split_once('\n').unwrap().1;
        format!("{pid}\n{rest}")
    };
    let this_process = left_by_dead(&std::process::id().to_string());
    let another_server = left_by_dead(&other_server.to_string());
    for content in [&this_process, &another_server, &left_by_dead("2147483000"), "", "nonsense"] {
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
    assert!(world.created());
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
    assert!(world.created());
    sql::write(&world.primary().url(), "new").await;
    let written = world.primary().position().await.unwrap();
    let soon = std::time::Duration::from_secs(10);
    world.replicas().next().unwrap().wait_until_replayed(written, soon).await.unwrap();
}

#[tokio::test]
async fn a_replica_that_cannot_follow_is_made_anew() {
    let (_clone, folder) = clone();
    let world = start(&folder).await;
    // It was promoted, and has written what its primary never will.
    let replica = sql::connect(&world.replicas().next().unwrap().admin_url()).await;
    replica.execute("SELECT pg_promote()", &[]).await.unwrap();
    replica.batch_execute("CREATE TABLE strayed (); CHECKPOINT").await.unwrap();
    drop(replica);
    sql::write(&world.primary().url(), "kept").await;
    world.shutdown().await.unwrap();

    let world = start(&folder).await;
    assert_eq!(sql::notes(&world.replicas().next().unwrap().url()).await, ["kept"]);

    // And one whose data is damaged.
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
    assert!(holder.servers.iter().all(|server| !is_gone(*server)), "they run on, alone");

    let world = start(&folder).await;
    assert!(!world.created());
    eventually::eventually("the orphans are gone", || holder.servers_are_gone()).await;
}
