//! File locks, which the system releases however the process that holds them ends.

use std::fs::{File, TryLockError};
use std::io;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The pause between two attempts.
const RETRY: Duration = Duration::from_millis(20);

/// Locks the file; false if another holder kept it locked for all of `patience`.
///
/// # Errors
/// When the file cannot be locked at all: a file system such as NFS may not support locks.
pub(crate) async fn take(file: &File, patience: Duration) -> io::Result<bool> {
    let deadline = Instant::now() + patience;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => sleep(RETRY).await,
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
        let release = async {
            let mut ticks = tokio::time::interval(Duration::from_millis(100));
            ticks.tick().await;
            ticks.tick().await;
            drop(holder);
        };
        let (taken, ()) = tokio::join!(take(&waiting, Duration::from_secs(1)), release);
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
        // With O_PATH the file is named and not opened, so most calls on it fail.
        let path = tempfile::NamedTempFile::new()?;
        let named = File::options().read(true).custom_flags(0o10_000_000).open(&path)?;
        let since = Instant::now();
        assert!(take(&named, Duration::from_mins(5)).await.is_err());
        assert_eq!(since.elapsed(), Duration::ZERO);
        Ok(())
    }
}
