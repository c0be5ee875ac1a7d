//! The search for PostgreSQL.

use std::path::Path;

use archipelago_lab::{Search, World};

use crate::folders::open_folder;

/// A search that finds nothing on the path and in the usual folders, and has no network.
fn nothing(root: &Path) -> Search {
    let mut search = Search::from_env();
    search.path = root.join("bin").into();
    search.root = root.into();
    search.cache = Some(root.join("cache"));
    search.archive_url = Some("http://127.0.0.1:1/releases-of-no-one".to_owned());
    search
}

#[cfg(feature = "fetch")]
#[tokio::test]
async fn the_message_says_where_it_looked_and_what_to_install() {
    let root = open_folder();
    let start = World::builder().primary("nrt").search(nothing(root.path())).start();

    let error = start.await.unwrap_err();

    assert!(matches!(error, archipelago_lab::LabError::NoPostgres(_)));
    let message = error.to_string().replace(&*root.path().to_string_lossy(), "ROOT");
    let (before, after) = message.split_once("Fetching: ").unwrap();
    assert_eq!(
        before,
        "PostgreSQL 14 to 18 was not found, and could not be fetched.\n\
         Looked in:\n  \
         PATH, for postgres, initdb and pg_config: ROOT/bin\n  \
         ROOT/usr/lib/postgresql/*/bin\n  \
         ROOT/usr/pgsql-*/bin\n  \
         ROOT/usr/local/pgsql/bin\n  \
         ROOT/opt/homebrew/opt/postgresql@*/bin\n  \
         ROOT/usr/local/opt/postgresql@*/bin\n  \
         ROOT/Applications/Postgres.app/Contents/Versions/*/bin\n  \
         ROOT/usr/libexec/postgresql*\n  \
         ROOT/cache/*/bin\n"
    );
    let (why, what_to_do) = after.split_once('\n').unwrap();
    assert!(why.starts_with("http://127.0.0.1:1/releases-of-no-one: "), "{why}");
    assert_eq!(
        what_to_do,
        "Install it, then start again: `apt-get install postgresql` (Debian, Ubuntu), \
         `dnf install postgresql-server` (Fedora), `brew install postgresql@17` (macOS)"
    );
}

#[tokio::test]
async fn a_broken_installation_is_named_with_the_reason() {
    let root = open_folder();
    let bin = root.path().join("usr/lib/postgresql/17/bin");
    std::fs::create_dir_all(&bin).unwrap();
    program(&bin.join("postgres"), "echo 'postgres (PostgreSQL) 17.2'");
    program(&bin.join("initdb"), "echo 'initdb: a library is missing' >&2; exit 127");
    let old = root.path().join("usr/lib/postgresql/12/bin");
    std::fs::create_dir_all(&old).unwrap();
    program(&old.join("postgres"), "echo 'postgres (PostgreSQL) 12.22'");

    let start = World::builder().primary("nrt").search(nothing(root.path())).start();
    let message = start.await.unwrap_err().to_string();

    for (bin, why) in [
        (&bin, "initdb does not run: initdb: a library is missing"),
        (&old, "version 12.22 is not supported"),
    ] {
        let line = format!("Found, but of no use: {}: {why}\n", bin.display());
        assert!(message.contains(&line), "{line} not in {message}");
    }
}

#[tokio::test]
async fn pg_config_leads_to_the_programs() {
    let real = World::builder().primary("nrt").start().await.unwrap();
    let root = open_folder();
    let bin = root.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    program(&bin.join("pg_config"), &format!("echo '{}'", real.postgres().bin().display()));

    let found = World::builder().primary("nrt").search(nothing(root.path())).start().await.unwrap();
    assert_eq!(found.postgres(), real.postgres());
}

#[tokio::test]
async fn links_to_single_programs_lead_to_all_of_them() {
    let real = World::builder().primary("nrt").start().await.unwrap();
    let root = open_folder();
    let bin = root.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let postgres = real.postgres().bin().join("postgres");
    std::os::unix::fs::symlink(postgres, bin.join("postgres")).unwrap();

    let found = World::builder().primary("nrt").search(nothing(root.path())).start().await.unwrap();
    assert_eq!(found.postgres().bin(), real.postgres().bin());
}

fn program(path: &Path, script: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}
