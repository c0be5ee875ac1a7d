//! Where a world's files lie: the folder that was asked for, or another where its servers' user
//! cannot enter that one.
//!
//! ```text
//! lock                 held while a process uses the folder
//! control              while it runs: where it takes commands, and the token to give with them
//! passwords            of the roles, for this process's user only
//! primary/             data of the primary, whatever its region
//! replica-<region>/    data of a replica
//! promotions           only after one: whose data is the primary's at the next start
//! log/<region>.log     what each server said since the last start
//! elsewhere            only where all but the lock and control lie in another folder: its path
//! owner                only in that other folder: the path of this one
//! ```

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

use crate::account::Account;
use crate::control::Control;
use crate::lock::{self, LOCK};
use crate::sweeper::Sweeper;
use crate::{LabError, promotions};

/// How the names of our folders among other people's begin.
pub(crate) const PREFIX: &str = "archipelago-lab-";
/// Keeps files across restarts, and every user may enter it.
pub(crate) const OPEN_TO_ALL: &str = "/var/tmp";

pub(crate) const ELSEWHERE: &str = "elsewhere";
pub(crate) const OWNER: &str = "owner";

/// A folder of this process alone, and the user that runs servers in it.
#[derive(Debug)]
pub(crate) struct Place {
    /// What a person knows: the folder that was asked for.
    pub(crate) folder: PathBuf,
    /// Where the data is.
    pub(crate) home: PathBuf,
    pub(crate) account: Account,
    /// Only a temporary folder has one.
    pub(crate) sweeper: Option<Sweeper>,
    _locks: Vec<File>,
}

impl Place {
    /// A folder that stays.
    pub(crate) async fn persistent(folder: &Path) -> Result<Self, LabError> {
        fs::create_dir_all(folder).map_err(LabError::file("make the folder", folder))?;
        let folder = folder.canonicalize().map_err(LabError::file("find", folder))?;
        check_owner(&folder, &folder.join(LOCK))?;
        let mut locks = vec![lock::folder(&folder).await?];
        Control::forget(&folder);
        let mut home = elsewhere(&folder).unwrap_or_else(|| folder.clone());
        promotions::settle(&home).await?;
        let data = home.join("primary");
        let account = Account::choose(&data);
        if account.is_other() && !account.can_enter(&home) {
            if data.exists() {
                return Err(LabError::Unreachable { folder, user: account.name().to_owned() });
            }
            home = open_folder(Path::new(OPEN_TO_ALL), &account)?;
            note(&folder.join(ELSEWHERE), &home)?;
        }
        if home != folder {
            locks.push(lock::folder(&home).await?);
            note(&home.join(OWNER), &folder)?;
        }
        check_owner(&folder, &data)?;
        Ok(Self { folder, home, account, sweeper: None, _locks: locks })
    }

    /// A folder that goes with this process.
    pub(crate) async fn temporary() -> Result<Self, LabError> {
        let account = Account::choose(Path::new(""));
        let usual = std::env::temp_dir();
        let home = match open_folder(&usual, &account) {
            Err(LabError::Unreachable { .. }) => open_folder(Path::new(OPEN_TO_ALL), &account)?,
            other => other?,
        };
        let sweeper = Some(
            Sweeper::spawn(&home)
                .map_err(|source| LabError::Run { program: "/bin/sh".into(), source })?,
        );
        let locks = vec![lock::folder(&home).await?];
        Ok(Self { folder: home.clone(), home, account, sweeper, _locks: locks })
    }

    /// The data of the primary, whatever its region.
    pub(crate) fn primary(&self) -> PathBuf {
        self.home.join("primary")
    }

    /// The data of a region's replica.
    pub(crate) fn replica(&self, region: &str) -> PathBuf {
        self.home.join(format!("replica-{region}"))
    }

    /// The log of a region's server.
    pub(crate) fn log(&self, region: &str) -> PathBuf {
        self.home.join("log").join(format!("{region}.log"))
    }

    /// The same, open for more at its end, and for this process's user alone: it may say more than others should know.
    pub(crate) fn open_log(&self, region: &str) -> Result<File, LabError> {
        let log = self.log(region);
        File::options()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&log)
            .map_err(LabError::file("write", &log))
    }

    /// In a folder that belongs to the servers' user, what root makes does too: that user may start
    /// a world there later, without root.
    pub(crate) fn share(&self, path: &Path) -> io::Result<()> {
        let owner = self.home.metadata()?.uid();
        if self.account.ids().is_some_and(|(uid, _)| uid == owner) {
            self.account.own(path)?;
        }
        Ok(())
    }

    /// Writes a file for the servers' user alone, whole or not at all.
    pub(crate) fn write_private(&self, path: &Path, content: &str) -> Result<(), LabError> {
        let unfinished = path.with_added_extension("new");
        let write = || {
            let _ = fs::remove_file(&unfinished);
            // `create_new` follows no symbolic link that somebody else may have put there.
            let mut file =
                File::options().write(true).create_new(true).mode(0o600).open(&unfinished)?;
            file.write_all(content.as_bytes())?;
            if let Some((uid, gid)) = self.account.ids() {
                fchown(&file, Some(uid), Some(gid))?;
            }
            fs::rename(&unfinished, path)
        };
        write().map_err(LabError::file("write", path))
    }
}

/// Root may use what an ordinary user made, not the other way round.
fn check_owner(folder: &Path, made: &Path) -> Result<(), LabError> {
    let user = Uid::effective();
    match made.symlink_metadata() {
        Ok(found) if !user.is_root() && found.uid() != user.as_raw() => Err(LabError::Owner {
            made: made.to_owned(),
            folder: folder.to_owned(),
            owner: found.uid(),
            user: user.as_raw(),
        }),
        _ => Ok(()),
    }
}

/// A new folder with a name that nobody can guess, which the account can enter.
fn open_folder(parent: &Path, account: &Account) -> Result<PathBuf, LabError> {
    let made = tempfile::Builder::new()
        .prefix(PREFIX)
        .tempdir_in(parent)
        .map_err(LabError::file("make a folder in", parent))?;
    if account.is_other() {
        // Others may pass through, not look around: each data folder in it is its user's alone,
        // and the folder itself stays root's, so that no other user can plant files for root.
        fs::set_permissions(made.path(), Permissions::from_mode(0o711))
            .map_err(LabError::file("open", made.path()))?;
        if !account.can_enter(made.path()) {
            let user = account.name().to_owned();
            return Err(LabError::Unreachable { folder: parent.to_owned(), user });
        }
    }
    let path = made.keep();
    path.canonicalize().map_err(LabError::file("find", &path))
}

/// The folder that `elsewhere` names, if it is still there and ours.
fn elsewhere(folder: &Path) -> Option<PathBuf> {
    let home = PathBuf::from(fs::read_to_string(folder.join(ELSEWHERE)).ok()?);
    let found = home.symlink_metadata().ok()?;
    (found.is_dir() && found.uid() == Uid::effective().as_raw()).then_some(home)
}

/// Writes a path into a file, unless it is there already: a file that is not written cannot be half written when the
/// power fails.
fn note(file: &Path, path: &Path) -> Result<(), LabError> {
    let content = path.as_os_str().as_encoded_bytes();
    if fs::read(file).is_ok_and(|there| there == content) {
        return Ok(());
    }
    fs::write(file, content).map_err(LabError::file("write", file))
}
