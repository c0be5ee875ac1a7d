//! However the process of a world ends, its servers end too.

mod eventually;
mod holder;
mod sql;

use archipelago_lab::World;
use eventually::eventually;
use holder::Holder;
use nix::sys::signal::Signal;

#[tokio::test]
#[ignore = "run by the other tests: the process that they kill"]
async fn holder() {
    holder::hold().await;
}

fn clone() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let clone = tempfile::tempdir().unwrap();
    std::fs::set_permissions(clone.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    clone
}

#[tokio::test]
async fn kill_9_leaves_no_server_and_no_folder() {
    let mut holder = Holder::start(None, &[]).unwrap();
    assert!(holder.home.exists());
    holder.kill(Signal::SIGKILL);
    eventually("the servers are gone", || holder.servers_are_gone()).await;
    eventually("the folder is gone", || !holder.home.exists()).await;
}

#[tokio::test]
async fn ctrl_c_leaves_no_server_and_no_folder() {
    let mut holder = Holder::start(None, &[]).unwrap();
    holder.interrupt();
    eventually("the servers are gone", || holder.servers_are_gone()).await;
    eventually("the folder is gone", || !holder.home.exists()).await;
}

#[tokio::test]
async fn a_panic_leaves_no_server_and_no_folder() {
    let mut holder = Holder::start(None, &[("LAB_TEST_PANIC", "1")]).unwrap();
    holder.wait();
    // Not eventually: dropping the world waits.
    assert!(holder.servers_are_gone());
    assert!(!holder.home.exists());
}

#[tokio::test]
async fn a_folder_that_was_kept_starts_again_at_once() {
    let clone = clone();
    let folder = clone.path().join(".lab");
    for signal in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGINT] {
        let mut holder = Holder::start(Some(&folder), &[]).unwrap();
        holder.kill(signal);
        // Without waiting for the servers of the killed one.
        let builder = World::builder().primary("nrt").replicas(["ord"]).folder(&folder);
        let world = builder.start().await.unwrap();
        sql::write(&world.primary().url(), signal.as_str()).await;
        world.shutdown().await.unwrap();
        assert!(holder.servers_are_gone());
    }
    let world = World::builder().primary("nrt").folder(&folder).start().await.unwrap();
    assert!(!world.created());
    assert_eq!(sql::notes(&world.primary().url()).await, ["SIGINT", "SIGKILL", "SIGTERM"]);
}

#[tokio::test]
async fn a_folder_held_by_another_process_is_refused() {
    let clone = clone();
    let folder = clone.path().join(".lab");
    let holder = Holder::start(Some(&folder), &[]).unwrap();

    let refused = World::builder().primary("nrt").folder(&folder).start().await.unwrap_err();
    assert!(refused.to_string().contains("is in use by another process"), "{refused}");
    let Err(refused) = Holder::start(Some(&folder), &[]) else { panic!("a second holder runs") };
    assert!(refused.contains("is in use by another process"), "{refused}");
    assert!(!holder.servers_are_gone());
}
