//! Locks: one process holds a file or a folder, and the system lets it go when that process ends in whatever way.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::LabError;

/// The file in a folder whose lock is the folder's. It says which process took it last.
pub(crate) const LOCK: &str = "lock";

/// How often a lock that somebody holds is tried again.
const POLL: Duration = Duration::from_millis(20);

/// A world holds its lock for as long as it lives; whoever holds it for less only looks whether somebody does.
const A_LOOK: Duration = Duration::from_millis(500);

/// Takes the folder for this process.
pub(crate) async fn folder(folder: &Path) -> Result<File, LabError> {
    let path = folder.join(LOCK);
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(LabError::file("open", &path))?;
    if !take(&file, A_LOOK).await.map_err(LabError::file("lock", &path))? {
        let holder = fs::read_to_string(&path).ok().filter(|pid| !pid.is_empty());
        return Err(LabError::InUse { folder: folder.to_owned(), holder });
    }
    file.set_len(0)
        .and_then(|()| write!(file, "{}", std::process::id()))
        .map_err(LabError::file("write", &path))?;
    Ok(file)
}

/// Whether a process, this one or another, holds the folder.
pub(crate) fn is_held(folder: &Path) -> bool {
    File::open(folder.join(LOCK))
        .is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// Takes the lock; false when somebody else has held it all this time. An error is not a lock that is held: the file
/// system may know no locks (NFS).
pub(crate) async fn take(file: &File, patience: Duration) -> io::Result<bool> {
    let until = Instant::now() + patience;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if Instant::now() < until => sleep(POLL).await,
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_handles() -> io::Result<(tempfile::NamedTempFile, File, File)> {
        let path = tempfile::NamedTempFile::new()?;
        let (one, other) = (File::open(&path)?, File::open(&path)?);
        Ok((path, one, other))
    }

    #[tokio::test(start_paused = true)]
    async fn a_lock_that_is_held_for_a_moment_is_waited_for() -> io::Result<()> {
        let (_path, holder, waiting) = two_handles()?;
        assert!(take(&holder, Duration::ZERO).await?);
        let let_go = async {
            let mut ticks = tokio::time::interval(Duration::from_millis(100));
            ticks.tick().await;
            ticks.tick().await;
            drop(holder);
        };
        let (taken, ()) = tokio::join!(take(&waiting, Duration::from_secs(1)), let_go);
        assert!(taken?);
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_for_a_lock_has_an_end() -> io::Result<()> {
        let (_path, holder, waiting) = two_handles()?;
        assert!(take(&holder, Duration::ZERO).await?);
        let since = Instant::now();
        assert!(!take(&waiting, Duration::from_mins(5)).await?);
        assert!(since.elapsed() >= Duration::from_mins(5));
        Ok(())
    }

    #[cfg(target_os = "linux")]
    #[tokio::test(start_paused = true)]
    async fn a_file_that_cannot_be_locked_is_an_error_at_once() -> io::Result<()> {
        use std::os::unix::fs::OpenOptionsExt;
        // O_PATH: a file that is named, but not opened, so every call but a few fails.
        let path = tempfile::NamedTempFile::new()?;
        let named = File::options().read(true).custom_flags(0o10_000_000).open(&path)?;
        let since = Instant::now();
        assert!(take(&named, Duration::from_mins(5)).await.is_err());
        assert_eq!(since.elapsed(), Duration::ZERO);
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn somebody_who_only_looks_does_not_keep_a_world_out()
    -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let looking = File::create(folder.path().join(LOCK))?;
        looking.try_lock()?;
        let looked = async {
            let mut ticks = tokio::time::interval(Duration::from_millis(50));
            ticks.tick().await;
            ticks.tick().await;
            drop(looking);
        };
        let (held, ()) = tokio::join!(super::folder(folder.path()), looked);
        assert_eq!(fs::read_to_string(folder.path().join(LOCK))?, std::process::id().to_string());
        held?;
        Ok(())
    }
}
