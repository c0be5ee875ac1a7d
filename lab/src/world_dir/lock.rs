//! The lock on a world's folder: one process at a time.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use crate::layout::LOCK;
use crate::{LabError, file_lock};

/// Longer than another process needs to check whether the lock is held. A world holds it for its
/// whole life.
const PATIENCE: Duration = Duration::from_millis(500);

/// Locks the folder for this process.
pub(crate) async fn lock(folder: &Path) -> Result<File, LabError> {
    let path = folder.join(LOCK);
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(LabError::file("open", &path))?;
    if !file_lock::take(&file, PATIENCE).await.map_err(LabError::file("lock", &path))? {
        let holder = fs::read_to_string(&path).ok().filter(|pid| !pid.is_empty());
        return Err(LabError::FolderInUse { folder: folder.to_owned(), holder });
    }
    file.set_len(0)
        .and_then(|()| write!(file, "{}", std::process::id()))
        .map_err(LabError::file("write", &path))?;
    Ok(file)
}

/// Whether a process, this one or another, has locked the folder.
pub(crate) fn is_locked(folder: &Path) -> bool {
    File::open(folder.join(LOCK))
        .is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_process_that_only_checks_does_not_keep_a_world_out()
    -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let checking = File::create(folder.path().join(LOCK))?;
        checking.try_lock()?;
        let checked = async {
            let mut ticks = tokio::time::interval(Duration::from_millis(50));
            ticks.tick().await;
            ticks.tick().await;
            drop(checking);
        };
        let (held, ()) = tokio::join!(lock(folder.path()), checked);
        assert_eq!(fs::read_to_string(folder.path().join(LOCK))?, std::process::id().to_string());
        held?;
        Ok(())
    }
}
