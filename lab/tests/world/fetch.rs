//! Fetching PostgreSQL from releases that this machine serves: as a mirror, and in the place of
//! GitHub, which is the default.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use archipelago_lab::{Search, World};

use crate::folders::open_folder;
use crate::releases::{Releases, server::Server};
use crate::sql;

const FOLDER: &str = "LAB_TEST_FOLDER";

/// Where the environment of a machine without PostgreSQL makes the lab fetch one.
#[derive(Debug, Clone, Copy)]
enum Source {
    /// The default, through a proxy with certificates of its own, as in a company's network.
    GitHub,
    /// `ARCHIPELAGO_LAB_ARCHIVE_URL`.
    Mirror,
}

/// On macOS the certificate authority would have to be the system's.
const SOURCES: &[Source] =
    if cfg!(target_os = "macos") { &[Source::Mirror] } else { &[Source::GitHub, Source::Mirror] };

#[tokio::test]
async fn what_was_fetched_runs_a_world_and_is_fetched_once() {
    let releases = Releases::of_what_is_installed().await;
    for source in SOURCES {
        let folder = open_folder();
        let cache = folder.path().join("cache");
        let bin = cache.join(&releases.version).join("bin");
        // A killed download leaves this.
        fs::create_dir_all(&bin).unwrap();
        fs::create_dir_all(cache.join("unfinished-1/postgresql/bin")).unwrap();

        let mut server = Server::start(releases.clone()).await;
        assert_eq!(start(folder.path(), *source, &server).await, Ok(bin.clone()), "{source:?}");
        assert_eq!(names_in(&cache), [&*releases.version, "lock"], "{source:?}");

        // The second start does not fetch.
        server.stop().await;
        assert_eq!(start(folder.path(), *source, &server).await, Ok(bin), "{source:?}");
    }
}

#[tokio::test]
async fn a_damaged_archive_is_refused() {
    let releases = Releases::of_what_is_installed().await.damaged();
    for source in SOURCES {
        let folder = open_folder();
        let error = start(folder.path(), *source, &Server::start(releases.clone()).await)
            .await
            .unwrap_err();
        assert!(error.contains("does not match expected hash ["), "{source:?}: {error}");
        assert_eq!(names_in(&folder.path().join("cache")), ["lock"], "{source:?}");
    }
}

#[tokio::test]
async fn a_download_that_breaks_leaves_nothing() {
    let releases = Releases::of_what_is_installed().await;
    for source in SOURCES {
        let folder = open_folder();
        let server = Server::start(releases.clone().that_break()).await;
        let error = start(folder.path(), *source, &server).await.unwrap_err();
        assert!(error.contains("error decoding response body"), "{source:?}: {error}");
        assert_eq!(names_in(&folder.path().join("cache")), ["lock"], "{source:?}");

        let server = Server::start(releases.clone()).await;
        start(folder.path(), *source, &server).await.unwrap();
    }
}

#[tokio::test]
async fn a_release_for_other_machines_only() {
    let releases = Releases::of_what_is_installed().await.for_other_machines();
    for source in SOURCES {
        let folder = open_folder();
        let error = start(folder.path(), *source, &Server::start(releases.clone()).await)
            .await
            .unwrap_err();
        assert!(error.contains(": asset not found\n"), "{source:?}: {error}");
    }
}

#[tokio::test]
async fn a_mirror_whose_listing_is_a_file() {
    let releases = Releases::of_what_is_installed().await.on_one_page();
    let folder = open_folder();
    start(folder.path(), Source::Mirror, &Server::start(releases).await).await.unwrap();
}

/// Starts a world in another process, with the environment for this source. Returns the folder of
/// the programs that it runs, or its error.
async fn start(folder: &Path, source: Source, server: &Server) -> Result<PathBuf, String> {
    let certificate = folder.join("certificate.pem");
    fs::write(&certificate, &server.certificate).unwrap();
    // A strict umask.
    let mut process = Command::new("/bin/sh");
    process.args(["-c", "umask 077; exec \"$@\"", "sh"]).arg(std::env::current_exe().unwrap());
    process.args(["--exact", "fetch::visitor", "--ignored"]).env(FOLDER, folder);
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
    match source {
        Source::GitHub => process
            .env("HTTPS_PROXY", url)
            .env("SSL_CERT_FILE", certificate)
            .env_remove("SSL_CERT_DIR"),
        Source::Mirror => process.env("ARCHIPELAGO_LAB_ARCHIVE_URL", url),
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
    // Finds nothing on this machine.
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
