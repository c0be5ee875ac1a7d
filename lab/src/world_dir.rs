//! A world's folder: the one that was asked for, or another if the servers' user cannot enter it.
//! [`layout`](crate::layout) names the files in it.

mod lock;

pub(crate) use lock::is_locked;

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::unistd::Uid;

use crate::cleanup::temp_dirs::TempDirRemover;
use crate::layout::{self, ELSEWHERE, LOCK, LOGS, OPEN_TO_ALL, OWNER, PREFIX, PRIMARY};
use crate::postgres::Account;
use crate::{LabError, cleanup};

/// A folder that this process has locked, and the user that runs servers in it.
#[derive(Debug)]
pub(crate) struct WorldDir {
    /// The folder that was asked for, which messages name.
    pub(crate) folder: PathBuf,
    /// The folder with the data: often the same.
    pub(crate) home: PathBuf,
    pub(crate) account: Account,
    /// Of a temporary folder only.
    remover: Option<TempDirRemover>,
    _locks: Vec<File>,
}

/// A lasting folder that this process has locked. Its data may need repair before it is opened.
pub(crate) struct LockedFolder {
    pub(crate) folder: PathBuf,
    pub(crate) home: PathBuf,
    lock: File,
}

impl LockedFolder {
    /// Makes the folder if need be, and locks it for this process.
    pub(crate) async fn lock(folder: &Path) -> Result<Self, LabError> {
        fs::create_dir_all(folder).map_err(LabError::file("make the folder", folder))?;
        let folder = folder.canonicalize().map_err(LabError::file("find", folder))?;
        check_owner(&folder, &folder.join(LOCK))?;
        let lock = lock::lock(&folder).await?;
        let home = elsewhere(&folder).unwrap_or_else(|| folder.clone());
        Ok(Self { folder, home, lock })
    }

    /// Chooses the servers' user, and the folder for new data if that user cannot enter this one.
    pub(crate) async fn open(self) -> Result<WorldDir, LabError> {
        let Self { folder, mut home, lock } = self;
        let mut locks = vec![lock];
        let data = home.join(PRIMARY);
        let account = Account::choose(&data);
        if account.is_other() && !account.can_enter(&home) {
            if data.exists() {
                let user = account.name().to_owned();
                return Err(LabError::FolderNotAccessible { folder, user });
            }
            home = make_folder(Path::new(OPEN_TO_ALL), &account)?;
            write_path(&folder.join(ELSEWHERE), &home)?;
        }
        if home != folder {
            locks.push(lock::lock(&home).await?);
            write_path(&home.join(OWNER), &folder)?;
        }
        check_owner(&folder, &data)?;
        Ok(WorldDir { folder, home, account, remover: None, _locks: locks })
    }
}

impl WorldDir {
    /// A new folder that is removed when this process ends.
    pub(crate) async fn temporary() -> Result<Self, LabError> {
        let account = Account::choose(Path::new(""));
        let usual = std::env::temp_dir();
        let home = match make_folder(&usual, &account) {
            Err(LabError::FolderNotAccessible { .. }) => {
                make_folder(Path::new(OPEN_TO_ALL), &account)?
            }
            other => other?,
        };
        let remover = TempDirRemover::spawn(&home)
            .map_err(|source| LabError::CannotRun { program: "/bin/sh".into(), source })?;
        let locks = vec![lock::lock(&home).await?];
        Ok(Self { folder: home.clone(), home, account, remover: Some(remover), _locks: locks })
    }

    /// Whether the folder is removed when this process ends.
    pub(crate) fn is_temporary(&self) -> bool {
        self.remover.is_some()
    }

    /// A pipe for a program that must have ended before a temporary folder is removed.
    pub(crate) fn pipe_of_remover(&self) -> io::Result<Stdio> {
        self.remover.as_ref().map_or_else(|| Ok(Stdio::null()), TempDirRemover::pipe)
    }

    /// An empty folder for the servers' logs.
    pub(crate) fn make_log_folder(&self) -> Result<(), LabError> {
        let logs = self.home.join(LOGS);
        cleanup::remove_folder(&logs)?;
        fs::create_dir(&logs)
            .and_then(|()| self.share(&logs))
            .map_err(LabError::file("make the folder", &logs))
    }

    /// The data of the primary, whatever its region.
    pub(crate) fn primary(&self) -> PathBuf {
        self.home.join(PRIMARY)
    }

    /// The data of a region's replica.
    pub(crate) fn replica(&self, region: &str) -> PathBuf {
        layout::replica(&self.home, region)
    }

    /// The log of a region's server.
    pub(crate) fn log(&self, region: &str) -> PathBuf {
        self.home.join(LOGS).join(format!("{region}.log"))
    }

    /// The same, open for appending, and readable by this process's user only: a log may hold
    /// anything.
    pub(crate) fn open_log(&self, region: &str) -> Result<File, LabError> {
        let log = self.log(region);
        File::options()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&log)
            .map_err(LabError::file("write", &log))
    }

    /// Gives a file that root has made to the servers' user if the folder is that user's, who may
    /// start a world there later without root.
    pub(crate) fn share(&self, path: &Path) -> io::Result<()> {
        let owner = self.home.metadata()?.uid();
        if self.account.ids().is_some_and(|(uid, _)| uid == owner) {
            self.account.own(path)?;
        }
        Ok(())
    }

    /// Writes a file that only the servers' user can read, whole or not at all.
    pub(crate) fn write_private(&self, path: &Path, content: &str) -> Result<(), LabError> {
        let unfinished = path.with_added_extension("new");
        let write = || {
            let _ = fs::remove_file(&unfinished);
            // `create_new` follows no symbolic link, which another user may have put there.
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

/// Root may use what an ordinary user has made, but not the other way round.
fn check_owner(folder: &Path, made: &Path) -> Result<(), LabError> {
    let user = Uid::effective();
    match made.symlink_metadata() {
        Ok(found) if !user.is_root() && found.uid() != user.as_raw() => Err(LabError::OtherOwner {
            made: made.to_owned(),
            folder: folder.to_owned(),
            owner: found.uid(),
            user: user.as_raw(),
        }),
        _ => Ok(()),
    }
}

/// Makes a folder with a name that cannot be guessed, which the account can enter.
fn make_folder(parent: &Path, account: &Account) -> Result<PathBuf, LabError> {
    let made = tempfile::Builder::new()
        .prefix(PREFIX)
        .tempdir_in(parent)
        .map_err(LabError::file("make a folder in", parent))?;
    if account.is_other() {
        // Other users may pass through, but not list the folder. Each data folder in it is private
        // to its user, and the folder itself stays root's, so that nothing is planted for root.
        fs::set_permissions(made.path(), Permissions::from_mode(0o711))
            .map_err(LabError::file("open", made.path()))?;
        if !account.can_enter(made.path()) {
            let user = account.name().to_owned();
            return Err(LabError::FolderNotAccessible { folder: parent.to_owned(), user });
        }
    }
    let path = made.keep();
    path.canonicalize().map_err(LabError::file("find", &path))
}

/// The folder that `elsewhere` names, if it still exists and belongs to this user.
fn elsewhere(folder: &Path) -> Option<PathBuf> {
    let home = PathBuf::from(fs::read_to_string(folder.join(ELSEWHERE)).ok()?);
    let found = home.symlink_metadata().ok()?;
    (found.is_dir() && found.uid() == Uid::effective().as_raw()).then_some(home)
}

/// Writes a path into a file that does not hold it yet. A file that is not written again cannot be
/// half written when the power fails.
fn write_path(file: &Path, path: &Path) -> Result<(), LabError> {
    let content = path.as_os_str().as_encoded_bytes();
    if fs::read(file).is_ok_and(|old| old == content) {
        return Ok(());
    }
    fs::write(file, content).map_err(LabError::file("write", file))
}
