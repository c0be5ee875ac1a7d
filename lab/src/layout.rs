//! The names of a world's files and folders.
//!
//! ```text
//! lock                 locked while a process uses the folder
//! control              while the world runs: where it takes commands, and the token that they need
//! passwords            of the database roles, readable by this process's user only
//! primary/             data of the primary, whatever its region
//! replica-<region>/    data of a replica
//! promotions           only after one: whose data becomes the primary's at the next start
//! log/<region>.log     what each server has logged since the last start
//! elsewhere            if all but `lock` and `control` lie in another folder: its path
//! owner                in that other folder only: the path of this one
//! ```

use std::fs;
use std::path::{Path, PathBuf};

/// Locked by the process that uses the folder; holds that process's id.
pub(crate) const LOCK: &str = "lock";
/// Holds the address and the token for commands.
pub(crate) const CONTROL: &str = "control";
/// Holds the passwords of the database roles, one a line.
pub(crate) const PASSWORDS: &str = "passwords";
/// The primary's data.
pub(crate) const PRIMARY: &str = "primary";
/// Holds the names of the data folders that were promoted, one a line, the newest last.
pub(crate) const PROMOTIONS: &str = "promotions";
/// The folder of the servers' logs.
pub(crate) const LOGS: &str = "log";
/// Holds the path of the folder with the data, where that is another one.
pub(crate) const ELSEWHERE: &str = "elsewhere";
/// Holds the path of the folder whose data this one keeps.
pub(crate) const OWNER: &str = "owner";

/// The prefix of the lab's own folders in shared ones such as `/tmp`.
pub(crate) const PREFIX: &str = "archipelago-lab-";
/// A folder that every user may enter, and whose files survive a restart of the machine.
pub(crate) const OPEN_TO_ALL: &str = "/var/tmp";

/// Part of the name of a data folder that is not finished.
pub(crate) const UNFINISHED: &str = ".new-";

/// The folder for the data of a region's replica.
pub(crate) fn replica(home: &Path, region: &str) -> PathBuf {
    home.join(format!("replica-{region}"))
}

/// All data folders of a world, finished or not.
pub(crate) fn data_folders(home: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(home).into_iter().flatten().flatten();
    entries
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name == PRIMARY || name.starts_with("primary.") || name.starts_with("replica-")
        })
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect()
}
