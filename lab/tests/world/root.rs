//! The lab as root: the servers run as another user, who may not be able to enter the folder.
//! Without root these tests do nothing.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use archipelago_lab::{World, eventually};
use nix::sys::signal::Signal;

use crate::folders::closed_folder;
use crate::holder::Holder;
use crate::{DEADLINE, sql};

fn is_root() -> bool {
    nix::unistd::Uid::effective().is_root()
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
    let clone = closed_folder();
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
    assert!(!world.is_new());
    assert_eq!(sql::notes(&world.replicas().next().unwrap().url()).await, ["kept"]);
    drop(world);

    // After `.lab` is deleted, the next start of any world removes the data.
    fs::remove_dir_all(&folder).unwrap();
    let world = start(&folder).await;
    assert!(world.is_new());
    eventually("what was left is removed", DEADLINE, async || !home.exists()).await;
    let home = PathBuf::from(fs::read_to_string(folder.join("elsewhere")).unwrap());
    drop(world);
    fs::remove_dir_all(home).unwrap();
}

#[tokio::test]
async fn any_start_removes_data_whose_lab_folder_is_deleted() {
    if !is_root() {
        return;
    }
    let clone = closed_folder();
    let folder = clone.path().join(".lab");
    let mut holder = Holder::start(Some(&folder), &[]).unwrap();
    let home = holder.home.clone();
    assert!(home.starts_with("/var/tmp"), "{}", home.display());

    // Other worlds do not touch the data while its process or its folder exists.
    drop(World::builder().primary("nrt").start().await.unwrap());
    assert!(!holder.servers_are_gone());
    holder.kill(Signal::SIGKILL);
    drop(World::builder().primary("nrt").start().await.unwrap());
    assert!(home.join("primary/global/pg_control").exists());

    fs::remove_dir_all(&folder).unwrap();
    drop(World::builder().primary("nrt").start().await.unwrap());
    eventually("what was left is removed", DEADLINE, async || {
        holder.servers_are_gone() && !home.exists()
    })
    .await;
}

#[tokio::test]
async fn a_killed_world_whose_folder_is_deleted_at_once() {
    if !is_root() {
        return;
    }
    let clone = closed_folder();
    let folder = clone.path().join(".lab");
    let mut holder = Holder::start(Some(&folder), &[]).unwrap();
    // Deletes the folder while the servers are stopping.
    holder.kill(Signal::SIGKILL);
    fs::remove_dir_all(&folder).unwrap();

    drop(World::builder().primary("nrt").start().await.unwrap());

    eventually("what was left is removed", DEADLINE, async || {
        holder.servers_are_gone() && !holder.home.exists()
    })
    .await;
}

#[tokio::test]
async fn a_temporary_folder_that_only_root_can_enter() {
    if !is_root() {
        return;
    }
    let closed = closed_folder();
    let folder = closed.path().to_str().unwrap();
    let mut holder = Holder::start(None, &[("TMPDIR", folder)]).unwrap();
    assert!(holder.home.starts_with("/var/tmp"), "{}", holder.home.display());
    holder.kill(Signal::SIGKILL);
    eventually("the servers are gone", DEADLINE, async || holder.servers_are_gone()).await;
    eventually("the folder is gone", DEADLINE, async || !holder.home.exists()).await;
    assert_eq!(fs::read_dir(closed.path()).unwrap().count(), 0);
}
