//! An installation of PostgreSQL: the programs that the lab runs, and their version.

mod account;
#[cfg(feature = "fetch")]
mod fetch;
#[cfg(feature = "fetch")]
mod mirror;
mod not_found;
mod search;

use std::path::{Path, PathBuf};

pub(crate) use account::Account;
pub use not_found::PostgresNotFound;
pub use search::Search;

/// The major versions that the lab supports.
pub(crate) const SUPPORTED: std::ops::RangeInclusive<u32> = 14..=18;

/// The programs that the lab runs.
const PROGRAMS: [&str; 3] = ["postgres", "initdb", "pg_basebackup"];

/// The PostgreSQL that a world runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postgres {
    bin: PathBuf,
    version: String,
    major: u32,
}

impl Postgres {
    /// The folder of its programs.
    #[must_use]
    pub fn bin(&self) -> &Path {
        &self.bin
    }

    /// The version as the server prints it, for example `17.6` or `15.18 (Debian 15.18-0+deb12u1)`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The major version, 14 to 18.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.major
    }

    /// Runs every program that the lab needs as the user that will run the servers. `Err` says why
    /// the folder is no installation for the lab.
    fn examine(bin: &Path, account: &Account) -> Result<Self, String> {
        let mut found = None;
        for program in PROGRAMS {
            let version = version_of(&bin.join(program), program, account)?;
            let major = major_of(&version)
                .ok_or_else(|| format!("{program} says `{version}`, which is no version"))?;
            if !SUPPORTED.contains(&major) {
                return Err(format!("version {version} is not supported"));
            }
            match &found {
                None => found = Some(Self { bin: bin.to_owned(), version, major }),
                Some(first) if first.major == major => {}
                Some(first) => {
                    return Err(format!(
                        "{program} is of version {major}, postgres of {}",
                        first.major
                    ));
                }
            }
        }
        found.ok_or_else(|| "no programs".to_owned())
    }
}

/// What follows `(PostgreSQL)` in the answer to `--version`.
fn version_of(path: &Path, program: &str, account: &Account) -> Result<String, String> {
    if path.symlink_metadata().is_err() {
        return Err(format!("{program} is missing"));
    }
    let answer = account
        .command(path, Path::new("/"))
        .arg("--version")
        .output()
        .map_err(|error| format!("user {} cannot run {program}: {error}", account.name()))?;
    let line = String::from_utf8_lossy(&answer.stdout);
    match line.split_once("(PostgreSQL) ") {
        Some((_, version)) if answer.status.success() => Ok(version.trim().to_owned()),
        _ => {
            let complaint = String::from_utf8_lossy(&answer.stderr);
            let complaint = complaint.lines().next().unwrap_or("no version printed");
            Err(format!("{program} does not run: {complaint}"))
        }
    }
}

/// `17` of `17.6`, `18beta1` or `15.18 (Debian …)`.
fn major_of(version: &str) -> Option<u32> {
    let digits = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    version[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::major_of;

    #[test]
    fn versions_as_they_are_printed() {
        assert_eq!(major_of("15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(major_of("18beta1"), Some(18));
        assert_eq!(major_of("9.6.24"), Some(9));
        assert_eq!(major_of("devel"), None);
    }
}
