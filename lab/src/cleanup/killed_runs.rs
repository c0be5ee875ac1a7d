//! Removes folders that earlier runs could not remove: the power failed while a temporary world
//! ran, or a `.lab/` was deleted whose data lies elsewhere.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::unistd::Uid;

use crate::cleanup::{orphans, remove_folder};
use crate::layout::{self, ELSEWHERE, LOCK, OPEN_TO_ALL, OWNER, PREFIX};

/// Longer than a world takes from making its folder to locking it.
const UNLOCKED_AT_MOST: Duration = Duration::from_mins(10);

/// How long the data of a clone that is gone is kept, as the clone may have been moved.
const KEPT_FOR_A_MOVED_CLONE: Duration = Duration::from_hours(30 * 24);

/// Removes the abandoned folders of this user. A folder that cannot be removed stays until the next
/// start.
pub(crate) async fn remove_all() {
    for parent in [std::env::temp_dir(), OPEN_TO_ALL.into()] {
        for folder in own_folders(&parent) {
            // Locked until the folder is gone, so that no other process removes it at the same
            // time.
            if let Some(_lock) = lock_if_abandoned(&folder) {
                tracing::info!(folder = %folder.display(), "removing what an earlier run left");
                for data in layout::data_folders(&folder) {
                    if let Err(error) = orphans::stop_server_on(&data).await {
                        tracing::warn!(%error, "a server of an earlier run does not stop");
                    }
                }
                if let Err(error) = remove_folder(&folder) {
                    tracing::warn!(%error, "a folder of an earlier run cannot be removed");
                }
            }
        }
    }
}

/// The lab's folders in this one that belong to this user.
fn own_folders(parent: &Path) -> Vec<PathBuf> {
    let user = Uid::effective().as_raw();
    // A world's folder is recorded by its real path, and on macOS /var is a link.
    let entries = parent.canonicalize().and_then(fs::read_dir).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().as_bytes().starts_with(PREFIX.as_bytes()))
        // Other users can make symbolic links here, so none is followed.
        .filter(|entry| entry.metadata().is_ok_and(|it| it.is_dir() && it.uid() == user))
        .map(|entry| entry.path())
        .collect()
}

/// Locks the folder if no process and no `.lab/` claims it.
fn lock_if_abandoned(folder: &Path) -> Option<File> {
    // Checked before it is locked: a world that starts in this folder now would take our lock for
    // another world's. A folder that looks abandoned stays abandoned, because a start uses an
    // existing folder only where a `.lab/` names it.
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
            // The power may have failed while the path was written, which is then not absolute.
            owner.is_absolute() && !is_claimed(folder, &owner)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            is_older_than(folder, UNLOCKED_AT_MOST)
        }
        Err(_) => false,
    }
}

/// Whether the `.lab/` at `owner` names this folder as that of its data, or may do so at another
/// path by now.
fn is_claimed(folder: &Path, owner: &Path) -> bool {
    match fs::read(owner.join(ELSEWHERE)) {
        Ok(home) => OsStr::from_bytes(&home) == folder,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            // If the clone exists, its `.lab/` was deleted. If the whole clone is gone, it may have
            // been moved, and its next start needs the data.
            let clone_exists = owner.parent().is_none_or(Path::exists);
            !clone_exists && !is_older_than(folder, KEPT_FOR_A_MOVED_CLONE)
        }
        // An unreadable file is still there.
        Err(_) => true,
    }
}

/// Whether a folder was made, and last locked, longer ago than this.
fn is_older_than(folder: &Path, limit: Duration) -> bool {
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

    /// Sets the time of the last lock to before any start that may still be going on.
    fn make_old(folder: &Path) -> io::Result<()> {
        File::create(folder.join(LOCK))?.set_modified(SystemTime::now() - 2 * UNLOCKED_AT_MOST)
    }

    #[test]
    fn folders_in_use_are_never_locked() -> io::Result<()> {
        let young = tempfile::tempdir()?;
        File::create(young.path().join(LOCK))?;
        let (claimed, owner) = (tempfile::tempdir()?, tempfile::tempdir()?);
        make_old(claimed.path())?;
        write(&claimed.path().join(OWNER), owner.path().as_os_str())?;
        write(&owner.path().join(ELSEWHERE), claimed.path().as_os_str())?;

        for folder in [young.path(), claimed.path()] {
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        for _ in 0..TRIES {
                            assert!(lock_if_abandoned(folder).is_none());
                        }
                    });
                }
                // A start locks its folder like this.
                let refused = (0..TRIES).filter(|_| {
                    File::open(folder.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_err())
                });
                assert_eq!(refused.count(), 0);
            });
        }
        Ok(())
    }

    #[test]
    fn unclaimed_folders_are_abandoned() -> io::Result<()> {
        let old = tempfile::tempdir()?;
        make_old(old.path())?;
        assert!(lock_if_abandoned(old.path()).is_some());

        let never_locked = tempfile::tempdir()?;
        File::open(never_locked.path())?.set_modified(SystemTime::now() - 2 * UNLOCKED_AT_MOST)?;
        assert!(lock_if_abandoned(never_locked.path()).is_some());

        // The `.lab/` that it belonged to is gone, or keeps its data in another folder by now.
        let (left, owner) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let deleted = owner.path().join(".lab");
        write(&left.path().join(OWNER), deleted.as_os_str())?;
        assert!(lock_if_abandoned(left.path()).is_some());
        fs::create_dir(&deleted)?;
        write(&deleted.join(ELSEWHERE), OsStr::new("/another/place"))?;
        assert!(lock_if_abandoned(left.path()).is_some());
        Ok(())
    }

    #[test]
    fn data_of_a_moved_clone_is_kept_for_a_while() -> io::Result<()> {
        let (data, gone) = (tempfile::tempdir()?, tempfile::tempdir()?);
        write(&data.path().join(OWNER), gone.path().join("clone/.lab").as_os_str())?;
        make_old(data.path())?;
        assert!(lock_if_abandoned(data.path()).is_none());
        File::create(data.path().join(LOCK))?
            .set_modified(SystemTime::now() - 2 * KEPT_FOR_A_MOVED_CLONE)?;
        assert!(lock_if_abandoned(data.path()).is_some());
        Ok(())
    }

    #[test]
    fn locked_and_claimed_folders_stay() -> io::Result<()> {
        let held = tempfile::tempdir()?;
        make_old(held.path())?;
        let lock = File::open(held.path().join(LOCK))?;
        lock.try_lock()?;
        assert!(lock_if_abandoned(held.path()).is_none());

        let half_written = tempfile::tempdir()?;
        make_old(half_written.path())?;
        write(&half_written.path().join(OWNER), OsStr::new(""))?;
        assert!(lock_if_abandoned(half_written.path()).is_none());

        // A path need not be UTF-8.
        let (claimed, owner) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let owner = owner.path().join(OsStr::from_bytes(b"clone-\xff"));
        if fs::create_dir(&owner).is_ok() {
            make_old(claimed.path())?;
            write(&claimed.path().join(OWNER), owner.as_os_str())?;
            write(&owner.join(ELSEWHERE), claimed.path().as_os_str())?;
            assert!(lock_if_abandoned(claimed.path()).is_none());
        }
        Ok(())
    }
}
