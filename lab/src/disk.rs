//! Whether the disk is full: PostgreSQL's programs can then not even write why they fail.

use std::path::Path;

use nix::sys::statvfs::statvfs;

use crate::error::LabError;

/// What the data of one new server takes, in bytes.
const ONE_SERVER: u128 = 64 * 1024 * 1024;

/// `error` itself, unless the disk of `folder` has no room for one more server.
pub(crate) fn explain(error: LabError, folder: &Path) -> LabError {
    let Ok(disk) = statvfs(folder) else { return error };
    // The types of the two differ between systems.
    let free = u128::from(disk.blocks_available()) * u128::from(disk.fragment_size());
    if free >= ONE_SERVER {
        return error;
    }
    let free = u64::try_from(free / (1024 * 1024)).unwrap_or(u64::MAX);
    LabError::DiskFull { folder: folder.to_owned(), free, cause: error.into() }
}
