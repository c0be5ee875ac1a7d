//! As root: the servers run as another user, who may be unable to enter the folder.
//! Where the tests do not run as root there is nothing to see.

mod eventually;
mod holder;
mod sql;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use archipelago_lab::World;
use eventually::eventually;
use holder::Holder;
use nix::sys::signal::Signal;

#[tokio::test]
#[ignore = "run by the other tests: the process that they kill"]
async fn holder() {
    holder::hold().await;
}

fn is_root() -> bool {
    nix::unistd::Uid::effective().is_root()
}

/// A folder as `/root` is: for root alone.
fn closed() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    folder
}

async fn start(folder: &Path) -> World {
    let builder = World::builder().primary("nrt").replicas(["ord"]).folder(folder);
    builder.start().await.unwrap()
}

#[tokio::test]
async fn a_clone_in_roots_home() {
    if !is_root() {
        return;
    }
    let clone = closed();
    let folder = clone.path().join(".lab");

    let world = start(&folder).await;
    sql::write(&world.primary().url(), "kept").await;
    world.shutdown().await.unwrap();
    let home = PathBuf::from(fs::read_to_string(folder.join("elsewhere")).unwrap());
    assert!(home.starts_with("/var/tmp"), "{}", home.display());
    assert_eq!(home.metadata().unwrap().mode() & 0o777, 0o711);
    let data = home.join("primary").metadata().unwrap();
    assert_eq!((data.mode() & 0o777, data.uid() == 0), (0o700, false));

    let world = start(&folder).await;
    assert!(!world.created());
    assert_eq!(sql::notes(&world.replicas().next().unwrap().url()).await, ["kept"]);
    drop(world);

    // Whoever deletes `.lab` gets rid of the data too, at the next start of any world.
    fs::remove_dir_all(&folder).unwrap();
    let world = start(&folder).await;
    assert!(world.created());
    eventually("what was left is swept", || !home.exists()).await;
    let home = PathBuf::from(fs::read_to_string(folder.join("elsewhere")).unwrap());
    drop(world);
    fs::remove_dir_all(home).unwrap();
}

#[tokio::test]
async fn what_a_killed_world_left_goes_with_its_folder_at_the_next_start_of_any_world() {
    if !is_root() {
        return;
    }
    let clone = closed();
    let folder = clone.path().join(".lab");
    let mut holder = Holder::start(Some(&folder), &[]).unwrap();
    let home = holder.home.clone();
    assert!(home.starts_with("/var/tmp"), "{}", home.display());

    // Another world leaves it alone while its process lives, and while its folder is there.
    drop(World::builder().primary("nrt").start().await.unwrap());
    assert!(!holder.servers_are_gone());
    holder.kill(Signal::SIGKILL);
    drop(World::builder().primary("nrt").start().await.unwrap());
    assert!(home.join("primary/global/pg_control").exists());

    fs::remove_dir_all(&folder).unwrap();
    drop(World::builder().primary("nrt").start().await.unwrap());
    eventually("what was left is swept", || holder.servers_are_gone() && !home.exists()).await;
}

#[tokio::test]
async fn servers_of_a_killed_world_whose_folder_is_deleted_at_once() {
    if !is_root() {
        return;
    }
    let clone = closed();
    let folder = clone.path().join(".lab");
    let mut holder = Holder::start(Some(&folder), &[]).unwrap();
    // Nobody waits for the servers, which are stopping.
    holder.kill(Signal::SIGKILL);
    fs::remove_dir_all(&folder).unwrap();

    drop(World::builder().primary("nrt").start().await.unwrap());

    eventually("what was left is swept", || holder.servers_are_gone() && !holder.home.exists())
        .await;
}

#[tokio::test]
async fn a_temporary_folder_that_is_closed() {
    if !is_root() {
        return;
    }
    let closed = closed();
    let folder = closed.path().to_str().unwrap();
    let mut holder = Holder::start(None, &[("TMPDIR", folder)]).unwrap();
    assert!(holder.home.starts_with("/var/tmp"), "{}", holder.home.display());
    holder.kill(Signal::SIGKILL);
    eventually("the servers are gone", || holder.servers_are_gone()).await;
    eventually("the folder is gone", || !holder.home.exists()).await;
    assert_eq!(fs::read_dir(closed.path()).unwrap().count(), 0);
}
