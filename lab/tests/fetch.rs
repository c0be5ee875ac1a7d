//! Fetching PostgreSQL from releases that are served on this machine: as a mirror, and in the place of GitHub, which
//! is what a user without any setting gets.
#![cfg(feature = "fetch")]

mod releases;
mod sql;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use archipelago_lab::{Search, World};
use releases::{Releases, server::Server};

const FOLDER: &str = "LAB_TEST_FOLDER";

/// What the environment of a machine says that has no PostgreSQL.
#[derive(Debug, Clone, Copy)]
enum Door {
    /// Nothing of fetching; the proxy, and the authority whose certificates it shows, are those of a company's network.
    GitHub,
    /// `ARCHIPELAGO_LAB_ARCHIVE_URL`.
    Mirror,
}

/// On macOS the authority would have to be the system's.
const DOORS: &[Door] =
    if cfg!(target_os = "macos") { &[Door::Mirror] } else { &[Door::GitHub, Door::Mirror] };

#[tokio::test]
async fn what_was_fetched_runs_a_world_and_is_fetched_once() {
    let releases = Releases::of_what_is_installed().await;
    for door in DOORS {
        let folder = open_folder();
        let cache = folder.path().join("cache");
        let bin = cache.join(&releases.version).join("bin");
        // What a download that was killed leaves.
        fs::create_dir_all(&bin).unwrap();
        fs::create_dir_all(cache.join("unfinished-1/postgresql/bin")).unwrap();

        let mut server = Server::start(releases.clone()).await;
        assert_eq!(start(folder.path(), *door, &server).await, Ok(bin.clone()), "{door:?}");
        assert_eq!(names_in(&cache), [&*releases.version, "lock"], "{door:?}");

        // The second time nobody is asked.
        server.stop().await;
        assert_eq!(start(folder.path(), *door, &server).await, Ok(bin), "{door:?}");
    }
}

#[tokio::test]
async fn an_archive_that_was_damaged_on_its_way_is_refused() {
    let releases = Releases::of_what_is_installed().await.damaged();
    for door in DOORS {
        let folder = open_folder();
        let error =
            start(folder.path(), *door, &Server::start(releases.clone()).await).await.unwrap_err();
        assert!(error.contains("does not match expected hash ["), "{door:?}: {error}");
        assert_eq!(names_in(&folder.path().join("cache")), ["lock"], "{door:?}");
    }
}

#[tokio::test]
async fn a_download_that_breaks_off_leaves_nothing_and_the_next_one_is_whole() {
    let releases = Releases::of_what_is_installed().await;
    for door in DOORS {
        let folder = open_folder();
        let server = Server::start(releases.clone().on_a_line_that_breaks()).await;
        let error = start(folder.path(), *door, &server).await.unwrap_err();
        assert!(error.contains("error decoding response body"), "{door:?}: {error}");
        assert_eq!(names_in(&folder.path().join("cache")), ["lock"], "{door:?}");

        let server = Server::start(releases.clone()).await;
        start(folder.path(), *door, &server).await.unwrap();
    }
}

#[tokio::test]
async fn a_release_for_other_machines_only() {
    let releases = Releases::of_what_is_installed().await.for_other_machines();
    for door in DOORS {
        let folder = open_folder();
        let error =
            start(folder.path(), *door, &Server::start(releases.clone()).await).await.unwrap_err();
        assert!(error.contains(": asset not found\n"), "{door:?}: {error}");
    }
}

#[tokio::test]
async fn a_mirror_whose_listing_is_a_file() {
    let releases = Releases::of_what_is_installed().await.on_one_page();
    let folder = open_folder();
    start(folder.path(), Door::Mirror, &Server::start(releases).await).await.unwrap();
}

/// Starts a world in a process of its own, whose environment knows this door; returns the programs it runs, or its error.
async fn start(folder: &Path, door: Door, server: &Server) -> Result<PathBuf, String> {
    let certificate = folder.join("certificate.pem");
    fs::write(&certificate, &server.certificate).unwrap();
    // The umask of a careful administrator.
    let mut process = Command::new("/bin/sh");
    process.args(["-c", "umask 077; exec \"$@\"", "sh"]).arg(std::env::current_exe().unwrap());
    process.args(["--exact", "visitor", "--ignored"]).env(FOLDER, folder);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.to_ascii_lowercase().ends_with("_proxy")
            || name.starts_with("ARCHIPELAGO_")
            || name == "GITHUB_TOKEN"
        {
            process.env_remove(name);
        }
    }
    let url = format!("http://{}", server.address);
    match door {
        Door::GitHub => process
            .env("HTTPS_PROXY", url)
            .env("SSL_CERT_FILE", certificate)
            .env_remove("SSL_CERT_DIR"),
        Door::Mirror => process.env("ARCHIPELAGO_LAB_ARCHIVE_URL", url),
    };
    let outcome = folder.join("outcome");
    let output = tokio::task::spawn_blocking(move || process.output().unwrap()).await.unwrap();
    let outcome = fs::read_to_string(&outcome).unwrap_or_else(|_| panic!("{output:?}"));
    match outcome.strip_prefix("runs ") {
        Some(bin) => Ok(bin.into()),
        None => Err(outcome),
    }
}

#[tokio::test]
#[ignore = "run by the other tests: the process whose environment they choose"]
async fn visitor() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    // Nothing is found on this machine.
    let mut search = Search::from_env();
    search.path = "".into();
    search.root.clone_from(&folder);
    search.cache = Some(folder.join("cache"));
    let outcome =
        match World::builder().primary("nrt").replicas(["ord"]).search(search).start().await {
            Ok(world) => {
                sql::write(&world.primary().url(), "fetched").await;
                format!("runs {}", world.postgres().bin().display())
            }
            Err(error) => error.to_string(),
        };
    fs::write(folder.join("outcome"), outcome).unwrap();
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

/// One that the user who runs the servers can enter.
fn open_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}
