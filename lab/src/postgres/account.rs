//! The system user that runs PostgreSQL: this process's own, or another if this process is root.

use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::{Gid, Uid, User};

/// The system user that runs the programs of PostgreSQL, which refuse to run as root.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    /// `None` stands for this process's own user.
    other: Option<(Uid, Gid)>,
    name: String,
}

impl Account {
    /// The account for a data folder, which may not exist yet. The owner of an existing one comes
    /// first, so that a folder made without root can be used with root.
    pub(crate) fn choose(data: &Path) -> Self {
        let own = Uid::effective();
        if !own.is_root() {
            return Self { other: None, name: own.to_string() };
        }
        let owner = data.symlink_metadata().ok().filter(|found| found.uid() != 0);
        if let Some(owner) = owner {
            let (uid, gid) = (Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid()));
            return Self { other: Some((uid, gid)), name: uid.to_string() };
        }
        ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .filter(|user| !user.uid.is_root())
            .map_or_else(
                || Self {
                    other: Some((Uid::from_raw(65534), Gid::from_raw(65534))),
                    name: "65534".to_owned(),
                },
                |user| Self { other: Some((user.uid, user.gid)), name: user.name },
            )
    }

    /// The user's name, for messages.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether programs run as another user than this process.
    pub(crate) fn is_other(&self) -> bool {
        self.other.is_some()
    }

    /// The other user's ids, for files that it must own.
    pub(crate) fn ids(&self) -> Option<(u32, u32)> {
        self.other.map(|(uid, gid)| (uid.as_raw(), gid.as_raw()))
    }

    /// A command that runs as this account in `folder`, without the settings for the user's own
    /// PostgreSQL (`PGDATA`, `PGOPTIONS`, the language of messages).
    pub(crate) fn command(&self, program: impl AsRef<OsStr>, folder: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(folder).env("LC_ALL", "C").stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"PG") {
                command.env_remove(name);
            }
        }
        if let Some((uid, gid)) = self.ids() {
            // With the user id, the standard library also drops root's supplementary groups.
            command.env("HOME", "/").gid(gid).uid(uid);
        }
        command
    }

    /// Makes the account the owner of a file or folder that this process has just made.
    pub(crate) fn own(&self, path: &Path) -> io::Result<()> {
        match self.ids() {
            Some((uid, gid)) => chown(path, Some(uid), Some(gid)),
            None => Ok(()),
        }
    }

    /// Whether the account can enter a folder. It is tried, because modes do not tell everything: a
    /// parent, a mount or a security policy may forbid it.
    pub(crate) fn can_enter(&self, folder: &Path) -> bool {
        self.command("/bin/sh", Path::new("/"))
            .args(["-c", "cd \"$1\"", "sh"])
            .arg(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }
}
