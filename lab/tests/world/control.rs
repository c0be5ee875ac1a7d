//! Commands to a world in another process.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use archipelago_lab::{
    Command, CommandOutput, Remote, RemoteError, Role, Server, World, eventually,
};
use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::holder::{self, Holder};
use crate::{DEADLINE, folders::clone, sql};

async fn start(folder: &std::path::Path) -> World {
    World::builder().primary("nrt").replicas(["ord", "syd"]).folder(folder).start().await.unwrap()
}

fn at(region: &str) -> String {
    region.to_owned()
}

/// Waits until the server has been told to stop.
async fn wait_until_stopping(server: &Server) {
    eventually("the server is stopping", DEADLINE, async || {
        fs::read_to_string(server.log_file()).unwrap().contains("received fast shutdown request")
    })
    .await;
}

#[tokio::test]
async fn a_world_takes_commands_from_another_process() {
    let (_clone, folder) = clone();
    let mut holder = Holder::start(Some(&folder), &[]).unwrap();
    let remote = Remote::find(&folder).unwrap();

    let urls = remote.urls(None).await.unwrap();
    assert_eq!(
        urls.iter().map(|it| (&*it.region, it.role)).collect::<Vec<_>>(),
        [("nrt", Role::Primary), ("ord", Role::Replica)]
    );
    sql::write(&urls[0].url, "from here").await;
    let answer = remote
        .send(&Command::Promote { region: "ord".to_owned(), leave_old_running: false })
        .await
        .unwrap();
    assert_eq!(answer, CommandOutput::Done("ord is primary on timeline 2".to_owned()));
    assert_eq!(sql::notes(&remote.urls(Some("nrt")).await.unwrap()[1].url).await, ["from here"]);
    let CommandOutput::Status(status) = remote.send(&Command::Status).await.unwrap() else {
        panic!("no status")
    };
    assert_eq!(status.servers.iter().map(|it| it.timeline).collect::<Vec<_>>(), [None, Some(2)]);
    let refused = remote.send(&Command::Kill { region: "lhr".to_owned() }).await.unwrap_err();
    assert_eq!(refused.to_string(), "no server in `lhr`: there is one in nrt, ord");

    holder.kill(Signal::SIGKILL);
    assert!(folder.join("control").exists());
    for gone in
        [remote.send(&Command::Status).await.unwrap_err(), Remote::find(&folder).unwrap_err()]
    {
        let expected = format!(
            "no lab is running in {}: start one there, or name the folder of one that runs",
            folder.display()
        );
        assert_eq!(gone.to_string(), expected);
    }
}

#[tokio::test]
async fn the_address_is_private_and_goes_with_the_world() {
    let (_clone, folder) = clone();
    assert!(matches!(Remote::find(&folder), Err(RemoteError::NoLab { .. })));
    let world = start(&folder).await;
    let file = folder.join("control");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    let remote = Remote::find(&folder).unwrap();
    let contact: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let address = contact["address"].as_str().unwrap().to_owned();
    for line in [r#"{"token":"guessed","command":"status"}"#, "nonsense", "", &"x".repeat(100_000)]
    {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let mut answer = String::new();
        let _ = stream.write_all(format!("{line}\n").as_bytes()).await;
        let _ = stream.shutdown().await;
        let _ = stream.read_to_string(&mut answer).await;
        assert!(answer.is_empty() || answer.starts_with(r#"{"Err":"#), "{answer}");
    }
    let _silent = TcpStream::connect(&address).await.unwrap();
    remote.send(&Command::Status).await.unwrap();

    world.shutdown().await.unwrap();
    assert!(!file.exists());
    assert!(TcpStream::connect(&address).await.is_err());
    assert!(matches!(remote.send(&Command::Status).await, Err(RemoteError::NoLab { .. })));
}

#[tokio::test]
async fn simultaneous_commands_run_one_after_the_other() {
    let (_clone, folder) = clone();
    let world = start(&folder).await;
    let remote = Remote::find(&folder).unwrap();
    let promote =
        |region: &str| Command::Promote { region: region.to_owned(), leave_old_running: false };
    let (ord, syd) = (promote("ord"), promote("syd"));

    let (first, second) = tokio::join!(remote.send(&ord), remote.send(&syd));

    let texts = [first.unwrap().to_string(), second.unwrap().to_string()];
    assert!(
        texts.iter().any(|text| text.contains("timeline 2"))
            && texts.iter().any(|text| text.contains("timeline 3")),
        "{texts:?}"
    );
    assert_eq!(world.primary().timeline().await.unwrap(), 3);
    assert_eq!(world.servers().filter(|server| server.is_running()).count(), 1);
}

#[tokio::test]
async fn a_command_is_finished_without_its_client() {
    let (_clone, folder) = clone();
    let world = start(&folder).await;
    let remote = Remote::find(&folder).unwrap();
    let (nrt, ord) = (world.primary(), world.server("ord").unwrap());
    // A primary that stops waits for it.
    ord.freeze().await.unwrap();
    let sending =
        tokio::spawn(async move { remote.send(&Command::Stop { region: at("nrt") }).await });
    wait_until_stopping(nrt).await;
    sending.abort();
    assert!(sending.await.unwrap_err().is_cancelled());
    assert!(nrt.is_running());
    ord.thaw().await.unwrap();

    eventually("the primary is stopped", DEADLINE, async || !nrt.is_running()).await;
    let remote = Remote::find(&folder).unwrap();
    remote.send(&Command::Start { region: at("nrt") }).await.unwrap();
    assert!(nrt.is_running());
}

#[tokio::test]
async fn what_a_command_waits_for_can_be_changed() {
    let (_clone, folder) = clone();
    let world = start(&folder).await;
    let remote = Remote::find(&folder).unwrap();
    remote.send(&Command::Cut { a: at("nrt"), b: at("syd") }).await.unwrap();
    remote.send(&Command::Freeze { region: at("ord") }).await.unwrap();
    let stopping =
        tokio::spawn(async move { remote.send(&Command::Stop { region: at("nrt") }).await });
    wait_until_stopping(world.primary()).await;

    let (remote, since) = (Remote::find(&folder).unwrap(), Instant::now());
    remote
        .send(&Command::Slow { a: at("ord"), b: at("syd"), round_trip: Duration::from_millis(1) })
        .await
        .unwrap();
    remote.send(&Command::Heal { a: at("nrt"), b: at("syd") }).await.unwrap();
    let not_frozen = remote.send(&Command::Thaw { region: at("nrt") }).await.unwrap();
    assert_eq!(not_frozen, CommandOutput::Done("nrt was not frozen".to_owned()));
    assert!(world.primary().is_running(), "it waits for ord");
    remote.send(&Command::Thaw { region: at("ord") }).await.unwrap();
    stopping.await.unwrap().unwrap();
    // Without the thaw it would wait for 20 seconds.
    assert!(since.elapsed() < Duration::from_secs(15), "{:?}", since.elapsed());
}

#[tokio::test]
async fn a_lab_that_ends_and_one_that_is_silent() {
    let (_clone, folder) = clone();
    let _world = start(&folder).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let contact = serde_json::json!({"address": listener.local_addr().unwrap(), "token": "any"});
    fs::write(folder.join("control"), contact.to_string()).unwrap();
    let remote = Remote::find(&folder).unwrap();

    let (ended, ()) = tokio::join!(remote.send(&Command::Status), async {
        let mut stream = listener.accept().await.unwrap().0;
        let _ = stream.read(&mut [0; 1024]).await.unwrap();
        stream.write_all(b"{\"Ok\":").await.unwrap();
    });
    let expected = format!(
        "the lab in {} ended before it answered: it closed the connection",
        folder.display()
    );
    assert_eq!(ended.unwrap_err().to_string(), expected);

    // While nothing happens, a paused clock jumps to the next deadline.
    tokio::time::pause();
    let silent = remote.send(&Command::Status).await.unwrap_err();
    assert!(silent.to_string().contains("has not answered within 30s"), "{silent}");
    tokio::time::resume();
}

#[tokio::test]
async fn a_world_that_ends_during_a_command_leaves_nothing() {
    let (_clone, folder) = clone();
    let world = start(&folder).await;
    let servers =
        ["primary", "replica-ord", "replica-syd"].map(|data| holder::server_on(&folder.join(data)));
    world.switch_over("ord").await.unwrap();
    let remote = Remote::find(&folder).unwrap();
    let rejoin = Command::Rejoin { region: "nrt".to_owned() };
    let sending = tokio::spawn(async move { remote.send(&rejoin).await });
    let log = world.server("nrt").unwrap().log_file();
    eventually("pg_rewind runs", DEADLINE, async || {
        fs::read_to_string(&log).unwrap().contains("pg_rewind")
    })
    .await;

    tokio::task::spawn_blocking(move || drop(world)).await.unwrap();

    assert!(servers.into_iter().all(holder::is_gone));
    assert!(!folder.join("control").exists());
    // The reply may have been sent before.
    let answer = timeout(Duration::from_secs(10), sending).await.unwrap().unwrap();
    assert!(matches!(answer, Ok(_) | Err(RemoteError::Ended { .. })), "{answer:?}");
    let world = start(&folder).await;
    assert!(!world.is_new());
}
