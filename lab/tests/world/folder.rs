//! A folder that keeps a world's data while regions come and go.

use std::path::Path;

use archipelago_lab::{LabError, World};

use crate::folders::clone;
use crate::sql;

async fn start(folder: &Path, primary: &str, replicas: &[&str]) -> World {
    let replicas = replicas.iter().copied();
    World::builder().primary(primary).replicas(replicas).folder(folder).start().await.unwrap()
}

#[tokio::test]
async fn data_survives_while_regions_come_and_go() {
    let (_clone, folder) = clone();

    let world = start(&folder, "nrt", &["ord"]).await;
    assert!(world.is_new());
    sql::write(&world.primary().url(), "kept").await;
    let password = world.primary().url();
    world.shutdown().await.unwrap();

    // One more region.
    let world = start(&folder, "nrt", &["ord", "syd"]).await;
    assert!(!world.is_new());
    assert_eq!(sql::notes(&world.server("syd").unwrap().url()).await, ["kept"]);
    assert_eq!(password.split('@').next(), world.primary().url().split('@').next());
    drop(world);

    // One region less.
    let world = start(&folder, "nrt", &["syd"]).await;
    assert!(!folder.join("replica-ord").exists());
    assert_eq!(sql::notes(&world.replicas().next().unwrap().url()).await, ["kept"]);
    drop(world);

    // The primary and a replica swap regions.
    let world = start(&folder, "syd", &["nrt"]).await;
    assert!(!world.is_new());
    assert_eq!(sql::notes(&world.primary().url()).await, ["kept"]);
    assert_eq!(sql::notes(&world.server("nrt").unwrap().url()).await, ["kept"]);
    assert!(!folder.join("replica-syd").exists());
}

#[tokio::test]
async fn one_process_at_a_time() {
    let (_clone, folder) = clone();
    let _first = start(&folder, "nrt", &[]).await;

    let second = World::builder().primary("nrt").folder(&folder).start().await.unwrap_err();

    assert!(matches!(second, LabError::FolderInUse { .. }), "{second}");
    let expected = format!(
        "the folder {} is in use by another process ({}): stop that one, or use another folder",
        folder.canonicalize().unwrap().display(),
        std::process::id()
    );
    assert_eq!(second.to_string(), expected);
}

#[tokio::test]
async fn passwords_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let (_clone, folder) = clone();
    let world = start(&folder, "nrt", &["ord", "syd"]).await;
    // Servers log changes of their settings.
    world.promote("ord").await.unwrap();
    world.rejoin("nrt").await.unwrap();
    let files = [
        "passwords",
        "replica-syd/postgresql.conf",
        "replica-syd/replicator.pgpass",
        "log/nrt.log",
        "log/ord.log",
        "log/syd.log",
    ];
    for file in files {
        let mode = folder.join(file).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let passwords = std::fs::read_to_string(folder.join("passwords")).unwrap();
    for server in world.servers() {
        let log = std::fs::read_to_string(server.log_file()).unwrap();
        assert!(!passwords.lines().any(|password| log.contains(password)), "{log}");
    }
    let log = std::fs::read_to_string(world.server("syd").unwrap().log_file()).unwrap();
    assert!(log.contains("\"primary_conninfo\" changed to"), "{log}");
    drop(world);

    std::fs::remove_file(folder.join("passwords")).unwrap();
    let error = World::builder().primary("nrt").folder(&folder).start().await.unwrap_err();
    assert!(matches!(error, LabError::PasswordsMissing { .. }), "{error}");
}

#[tokio::test]
async fn data_of_another_version_is_not_touched() {
    let (_clone, folder) = clone();
    drop(start(&folder, "nrt", &[]).await);
    // Pretends that another major version has made the data.
    let version = folder.join("primary/PG_VERSION");
    let made_with = std::fs::read_to_string(&version).unwrap();
    let other = if made_with.trim() == "14" { "18" } else { "14" };
    std::fs::write(&version, other).unwrap();
    let mut search = archipelago_lab::Search::from_env();
    search.archive_url = Some("http://127.0.0.1:1".to_owned());
    search.cache = Some(folder.with_file_name("cache"));

    let start = World::builder().primary("nrt").folder(&folder).search(search).start();
    let error = start.await.unwrap_err().to_string();

    assert!(error.starts_with(&format!("PostgreSQL {other}, which made the data")), "{error}");
    assert!(error.contains(&format!("`apt-get install postgresql-{other}`")), "{error}");
    assert!(error.contains("delete the data"), "{error}");
    assert!(folder.join("primary/PG_VERSION").exists());
}
