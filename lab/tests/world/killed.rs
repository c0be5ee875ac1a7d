//! The servers end with the process of their world, however it ends.

use archipelago_lab::{World, eventually};
use nix::sys::signal::Signal;

use crate::folders::clone;
use crate::holder::Holder;
use crate::{DEADLINE, sql};

#[tokio::test]
async fn kill_9_leaves_no_server_and_no_folder() {
    let mut holder = Holder::start(None, &[]).unwrap();
    assert!(holder.home.exists());
    holder.kill(Signal::SIGKILL);
    eventually("the servers are gone", DEADLINE, async || holder.servers_are_gone()).await;
    eventually("the folder is gone", DEADLINE, async || !holder.home.exists()).await;
}

#[tokio::test]
async fn ctrl_c_leaves_no_server_and_no_folder() {
    let mut holder = Holder::start(None, &[]).unwrap();
    holder.interrupt();
    eventually("the servers are gone", DEADLINE, async || holder.servers_are_gone()).await;
    eventually("the folder is gone", DEADLINE, async || !holder.home.exists()).await;
}

#[tokio::test]
async fn a_panic_leaves_no_server_and_no_folder() {
    let mut holder = Holder::start(None, &[("LAB_TEST_PANIC", "1")]).unwrap();
    holder.wait();
    // At once, because dropping the world waits for its servers.
    assert!(holder.servers_are_gone());
    assert!(!holder.home.exists());
}

#[tokio::test]
async fn a_folder_that_was_kept_starts_again_at_once() {
    let (_clone, folder) = clone();
    for signal in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGINT] {
        let mut holder = Holder::start(Some(&folder), &[]).unwrap();
        holder.kill(signal);
        // The servers of the killed process may still run.
        let builder = World::builder().primary("nrt").replicas(["ord"]).folder(&folder);
        let world = builder.start().await.unwrap();
        sql::write(&world.primary().url(), signal.as_str()).await;
        world.shutdown().await.unwrap();
        assert!(holder.servers_are_gone());
    }
    let world = World::builder().primary("nrt").folder(&folder).start().await.unwrap();
    assert!(!world.is_new());
    assert_eq!(sql::notes(&world.primary().url()).await, ["SIGINT", "SIGKILL", "SIGTERM"]);
}

#[tokio::test]
async fn a_folder_held_by_another_process_is_refused() {
    let (_clone, folder) = clone();
    let holder = Holder::start(Some(&folder), &[]).unwrap();

    let refused = World::builder().primary("nrt").folder(&folder).start().await.unwrap_err();
    assert!(refused.to_string().contains("is in use by another process"), "{refused}");
    let Err(refused) = Holder::start(Some(&folder), &[]) else { panic!("a second holder runs") };
    assert!(refused.contains("is in use by another process"), "{refused}");
    assert!(!holder.servers_are_gone());
}
