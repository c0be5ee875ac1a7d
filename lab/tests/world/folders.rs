//! Folders for worlds.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tempfile::TempDir;

/// A folder that the user who runs the servers can enter.
pub fn open_folder() -> TempDir {
    with_mode(0o755)
}

/// A folder like `/root`, which only root can enter.
pub fn closed_folder() -> TempDir {
    with_mode(0o700)
}

/// A folder like a clone of a repository, and the path of a `.lab` in it that does not exist yet.
pub fn clone() -> (TempDir, PathBuf) {
    let clone = open_folder();
    let lab = clone.path().join(".lab");
    (clone, lab)
}

fn with_mode(mode: u32) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
    folder
}
