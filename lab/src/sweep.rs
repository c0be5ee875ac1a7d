//! Removes folders that runs before this one had to leave behind: the power failed under a temporary
//! world, or somebody deleted the `.lab/` whose data lies elsewhere.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::unistd::Uid;

use crate::place::{ELSEWHERE, LOCK, OPEN_TO_ALL, OWNER, PREFIX};
use crate::stale;

/// Older than any world that has made its folder and not locked it yet.
const SETTLED: Duration = Duration::from_mins(10);

/// Looks where folders of ours can be. What cannot be removed stays for the next time.
pub(crate) async fn sweep() {
    for parent in [std::env::temp_dir(), OPEN_TO_ALL.into()] {
        for folder in ours(&parent) {
            // Held until the folder is gone, so that nobody else sweeps it meanwhile.
            if let Some(_lock) = abandoned(&folder) {
                tracing::info!(folder = %folder.display(), "removing what an earlier run left");
                for data in stale::data_folders(&folder) {
                    if let Err(error) = stale::stop_server_on(&data).await {
                        tracing::warn!(%error, "a server of an earlier run does not stop");
                    }
                }
                if let Err(error) = fs::remove_dir_all(&folder) {
                    tracing::warn!(%error, folder = %folder.display(), "cannot remove it");
                }
            }
        }
    }
}

fn ours(parent: &Path) -> Vec<PathBuf> {
    let user = Uid::effective().as_raw();
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()))
        // Not through a symbolic link: this is a place where others can make some.
        .filter(|entry| entry.metadata().is_ok_and(|it| it.is_dir() && it.uid() == user))
        .map(|entry| entry.path())
        .collect()
}

/// The lock of a folder that no process and no `.lab/` claims.
fn abandoned(folder: &Path) -> Option<File> {
    let lock = File::open(folder.join(LOCK)).ok()?;
    let age = SystemTime::now().duration_since(lock.metadata().ok()?.modified().ok()?).ok()?;
    lock.try_lock().ok()?;
    match fs::read_to_string(folder.join(OWNER)) {
        Ok(owner) => {
            let pointer = fs::read_to_string(Path::new(&owner).join(ELSEWHERE));
            let claimed = pointer.is_ok_and(|home| Path::new(&home) == folder);
            (!claimed).then_some(lock)
        }
        Err(_) => (age > SETTLED).then_some(lock),
    }
}
