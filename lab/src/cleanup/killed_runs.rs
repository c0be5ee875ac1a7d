//! Removes folders that runs before this one had to leave behind: the power failed under a temporary
//! world, or somebody deleted the `.lab/` whose data lies elsewhere.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::unistd::Uid;

use crate::lock::LOCK;
use crate::place::{ELSEWHERE, OPEN_TO_ALL, OWNER, PREFIX};
use crate::{cluster, stale};

/// Older than any world that has made its folder and not locked it yet.
const SETTLED: Duration = Duration::from_mins(10);

/// For the data of a clone that is gone: it may have been moved.
const FORGOTTEN: Duration = Duration::from_hours(30 * 24);

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
                if let Err(error) = cluster::remove(&folder) {
                    tracing::warn!(%error, "what an earlier run left stays");
                }
            }
        }
    }
}

fn ours(parent: &Path) -> Vec<PathBuf> {
    let user = Uid::effective().as_raw();
    // A world knows its folder by the real path (macOS: /var is a link).
    let entries = parent.canonicalize().and_then(fs::read_dir).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().as_bytes().starts_with(PREFIX.as_bytes()))
        // Not through a symbolic link: this is a place where others can make some.
        .filter(|entry| entry.metadata().is_ok_and(|it| it.is_dir() && it.uid() == user))
        .map(|entry| entry.path())
        .collect()
}

/// The lock of a folder that no process and no `.lab/` claims.
fn abandoned(folder: &Path) -> Option<File> {
    // Looks before it locks: whoever starts in a folder of its own now would take our lock for another world's. What
    // looks abandoned stays so, as no start chooses a folder that is there and that no `.lab/` names.
    if !looks_abandoned(folder) {
        return None;
    }
    let lock = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(folder.join(LOCK))
        .ok()?;
    lock.try_lock().ok().map(|()| lock)
}

fn looks_abandoned(folder: &Path) -> bool {
    match fs::read(folder.join(OWNER)) {
        Ok(owner) => {
            let owner = PathBuf::from(OsString::from_vec(owner));
            // A note that was half written when the power failed names nobody.
            owner.is_absolute() && !is_claimed(folder, &owner)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => is_settled(folder),
        Err(_) => false,
    }
}

/// Whether a `.lab/` names this folder as the place of its data, or may do so where it was moved to.
fn is_claimed(folder: &Path, owner: &Path) -> bool {
    match fs::read(owner.join(ELSEWHERE)) {
        Ok(home) => OsStr::from_bytes(&home) == folder,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            // The clone is there and its `.lab/` is not: somebody deleted that. Where the clone is gone as a whole it may have
            // been moved, and its data is wanted at its next start.
            owner.parent().is_none_or(|clone| !clone.exists()) && !is_older(folder, FORGOTTEN)
        }
        // What cannot be read is not gone.
        Err(_) => true,
    }
}

/// Whether a folder without an owner was made, and last locked, long ago.
fn is_settled(folder: &Path) -> bool {
    is_older(folder, SETTLED)
}

fn is_older(folder: &Path, limit: Duration) -> bool {
    let touched =
        folder.join(LOCK).metadata().or_else(|_| folder.metadata()).and_then(|it| it.modified());
    touched
        .is_ok_and(|touched| SystemTime::now().duration_since(touched).is_ok_and(|age| age > limit))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    const TRIES: usize = 5_000;

    fn write(file: &Path, content: &OsStr) -> io::Result<()> {
        fs::write(file, content.as_bytes())
    }

    /// As if it had been locked last before any start that is still going on.
    fn make_old(folder: &Path) -> io::Result<()> {
        File::create(folder.join(LOCK))?.set_modified(SystemTime::now() - 2 * SETTLED)
    }

    #[test]
    fn folders_in_use_are_never_locked_by_a_sweep() -> io::Result<()> {
        let young = tempfile::tempdir()?;
        File::create(young.path().join(LOCK))?;
        let (claimed, owner) = (tempfile::tempdir()?, tempfile::tempdir()?);
        make_old(claimed.path())?;
        write(&claimed.path().join(OWNER), owner.path().as_os_str())?;
        write(&owner.path().join(ELSEWHERE), claimed.path().as_os_str())?;

        for folder in [young.path(), claimed.path()] {
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| (0..TRIES).for_each(|_| assert!(abandoned(folder).is_none())));
                }
                // As a start does.
                let refused = (0..TRIES).filter(|_| {
                    File::open(folder.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_err())
                });
                assert_eq!(refused.count(), 0);
            });
        }
        Ok(())
    }

    #[test]
    fn folders_that_nobody_claims_are_swept() -> io::Result<()> {
        let old = tempfile::tempdir()?;
        make_old(old.path())?;
        assert!(abandoned(old.path()).is_some());

        let never_locked = tempfile::tempdir()?;
        File::open(never_locked.path())?.set_modified(SystemTime::now() - 2 * SETTLED)?;
        assert!(abandoned(never_locked.path()).is_some());

        // The `.lab/` that it belonged to is gone, or has its data in another place by now.
        let (left, owner) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let deleted = owner.path().join(".lab");
        write(&left.path().join(OWNER), deleted.as_os_str())?;
        assert!(abandoned(left.path()).is_some());
        fs::create_dir(&deleted)?;
        write(&deleted.join(ELSEWHERE), OsStr::new("/another/place"))?;
        assert!(abandoned(left.path()).is_some());
        Ok(())
    }

    #[test]
    fn the_data_of_a_clone_that_was_moved_waits_for_it() -> io::Result<()> {
        let (data, gone) = (tempfile::tempdir()?, tempfile::tempdir()?);
        write(&data.path().join(OWNER), gone.path().join("clone/.lab").as_os_str())?;
        make_old(data.path())?;
        assert!(abandoned(data.path()).is_none());
        File::create(data.path().join(LOCK))?.set_modified(SystemTime::now() - 2 * FORGOTTEN)?;
        assert!(abandoned(data.path()).is_some());
        Ok(())
    }

    #[test]
    fn folders_that_somebody_holds_or_may_claim_stay() -> io::Result<()> {
        let held = tempfile::tempdir()?;
        make_old(held.path())?;
        let lock = File::open(held.path().join(LOCK))?;
        lock.try_lock()?;
        assert!(abandoned(held.path()).is_none());

        let half_written = tempfile::tempdir()?;
        make_old(half_written.path())?;
        write(&half_written.path().join(OWNER), OsStr::new(""))?;
        assert!(abandoned(half_written.path()).is_none());

        // A path need not be text.
        let (claimed, owner) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let owner = owner.path().join(OsStr::from_bytes(b"clone-\xff"));
        if fs::create_dir(&owner).is_ok() {
            make_old(claimed.path())?;
            write(&claimed.path().join(OWNER), owner.as_os_str())?;
            write(&owner.join(ELSEWHERE), claimed.path().as_os_str())?;
            assert!(abandoned(claimed.path()).is_none());
        }
        Ok(())
    }
}
