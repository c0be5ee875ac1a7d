//! Where PostgreSQL is looked for, and in which order.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::account::Account;
use crate::postgres::{NotFound, Postgres};

/// Folders in which packages put the programs, below the root; `*` is a version, newest first.
const USUAL: [&str; 7] = [
    "usr/lib/postgresql/*/bin",                          // Debian, Ubuntu
    "usr/pgsql-*/bin",                                   // the project's RPMs
    "usr/local/pgsql/bin",                               // built from source
    "opt/homebrew/opt/postgresql@*/bin",                 // Homebrew, Apple silicon
    "usr/local/opt/postgresql@*/bin",                    // Homebrew, Intel
    "Applications/Postgres.app/Contents/Versions/*/bin", // Postgres.app
    "usr/libexec/postgresql*",                           // Alpine
];

/// Where to look for PostgreSQL 14 to 18.
///
/// The order: `postgres` and `initdb` on the path; `pg_config --bindir`; the usual folders of
/// packages, the newest version first; what was fetched before. An installation counts only when
/// `postgres`, `initdb` and `pg_basebackup` are all there and run as the user that will run the
/// servers. The first one wins, but data that is there already wants the version it was made with.
///
/// Where none is found, one is fetched (cargo feature `fetch`) from the releases of
/// `theseus-rs/postgresql-binaries` on GitHub into [`cache`](Self::cache).
#[derive(Debug, Clone)]
pub struct Search {
    /// Folders as in the variable `PATH`.
    pub path: OsString,
    /// The usual folders are looked for below this one, `/`.
    pub root: PathBuf,
    /// Where a fetched PostgreSQL is kept: for root `/var/cache/archipelago-lab`, as root's own
    /// folders are closed to the user that runs the servers; else `archipelago-lab` in
    /// `XDG_CACHE_HOME` or `~/.cache`.
    pub cache: Option<PathBuf>,
    /// Another place to fetch from (`ARCHIPELAGO_LAB_ARCHIVE_URL`): a mirror that answers
    /// `<url>/releases` like GitHub's API does for a repository, be it from a file. Each archive
    /// needs its `.sha256` there.
    pub archive_url: Option<String>,
}

impl Search {
    /// The search that the environment of this process asks for.
    #[must_use]
    pub fn from_env() -> Self {
        let folder = |name| std::env::var_os(name).filter(|it| !it.is_empty()).map(PathBuf::from);
        let users = || folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")));
        let cache = if nix::unistd::Uid::effective().is_root() {
            Some("/var/cache".into())
        } else {
            users()
        };
        Self {
            path: std::env::var_os("PATH").unwrap_or_default(),
            root: "/".into(),
            cache: cache.map(|caches| caches.join("archipelago-lab")),
            archive_url: std::env::var("ARCHIPELAGO_LAB_ARCHIVE_URL")
                .ok()
                .filter(|url| !url.is_empty()),
        }
    }

    /// The first installation that will do; `wanted` is the version of data that is there already.
    pub(crate) async fn find(
        &self,
        account: &Account,
        wanted: Option<u32>,
    ) -> Result<Postgres, Box<NotFound>> {
        let mut not_found = NotFound { wanted, looked: self.places(), ..NotFound::default() };
        for bin in self.candidates() {
            match Postgres::examine(&bin, account) {
                Ok(found) if wanted.is_none_or(|major| major == found.major) => return Ok(found),
                Ok(found) => not_found.refused.push((bin, format!("version {}", found.version))),
                Err(why) => not_found.refused.push((bin, why)),
            }
        }
        match self.fetch(account, wanted).await {
            Ok(fetched) => Ok(fetched),
            Err(why) => {
                not_found.fetch = why;
                Err(Box::new(not_found))
            }
        }
    }

    #[cfg(feature = "fetch")]
    async fn fetch(&self, account: &Account, wanted: Option<u32>) -> Result<Postgres, String> {
        super::fetch::fetch(self, account, wanted).await
    }

    #[cfg(not(feature = "fetch"))]
    #[expect(clippy::unused_async, reason = "with the feature it waits for the network")]
    async fn fetch(&self, _: &Account, _: Option<u32>) -> Result<Postgres, String> {
        Err("this program was built without archipelago-lab's feature `fetch`".to_owned())
    }

    /// Folders that may hold an installation, each once, in the order of the search.
    fn candidates(&self) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> = Vec::new();
        let folders = || std::env::split_paths(&self.path).filter(|folder| folder.is_absolute());
        for folder in folders() {
            // A link to a single program (`/usr/local/bin/postgres`) leads to all of them.
            for program in ["postgres", "initdb"] {
                if let Ok(program) = folder.join(program).canonicalize() {
                    found.extend(program.parent().map(Path::to_owned));
                    found.push(folder.clone());
                }
            }
        }
        found.extend(folders().find_map(|folder| bindir(&folder.join("pg_config"))));
        found.extend(USUAL.iter().flat_map(|pattern| expand(&self.root, pattern)));
        found.extend(self.cached());
        let mut seen = std::collections::HashSet::new();
        found.retain(|folder| seen.insert(folder.clone()));
        found
    }

    /// What was fetched before.
    pub(super) fn cached(&self) -> Vec<PathBuf> {
        self.cache.iter().flat_map(|cache| expand(cache, "*/bin")).collect()
    }

    fn places(&self) -> Vec<String> {
        let mut places =
            vec![format!("PATH, for postgres, initdb and pg_config: {}", self.path.display())];
        places.extend(USUAL.iter().map(|pattern| self.root.join(pattern).display().to_string()));
        places.extend(self.cache.iter().map(|cache| cache.join("*/bin").display().to_string()));
        places
    }
}

impl Default for Search {
    /// [`Search::from_env`].
    fn default() -> Self {
        Self::from_env()
    }
}

/// What `pg_config --bindir` answers, if there is such a program.
fn bindir(program: &Path) -> Option<PathBuf> {
    let answer = std::process::Command::new(program).arg("--bindir").output().ok()?;
    let line = String::from_utf8(answer.stdout).ok()?;
    let folder = PathBuf::from(line.trim());
    folder.is_absolute().then_some(folder)
}

/// The folders that a pattern with at most one `*` stands for, the newest version first.
fn expand(root: &Path, pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![root.to_owned()];
    for part in pattern.split('/') {
        found = match part.split_once('*') {
            None => found.into_iter().map(|folder| folder.join(part)).collect(),
            Some((before, after)) => {
                found.iter().flat_map(|folder| matching(folder, before, after)).collect()
            }
        };
    }
    found.retain(|folder| folder.is_dir());
    found
}

fn matching(folder: &Path, before: &str, after: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<(Vec<u32>, PathBuf)> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let version = name.strip_prefix(before)?.strip_suffix(after)?;
            let numbers = version.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
            Some((numbers, entry.path()))
        })
        .collect();
    found.sort_unstable_by(|one, other| other.cmp(one));
    found.into_iter().map(|(_, path)| path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_comes_first() -> std::io::Result<()> {
        let root = tempfile::tempdir()?;
        for version in ["9.6", "14", "17", "latest"] {
            let bin = root.path().join("usr/lib/postgresql").join(version).join("bin");
            std::fs::create_dir_all(bin)?;
        }
        let found: Vec<_> = expand(root.path(), USUAL[0])
            .iter()
            .filter_map(|path| {
                path.strip_prefix(root.path()).ok().map(|it| it.display().to_string())
            })
            .collect();
        assert_eq!(
            found,
            [
                "usr/lib/postgresql/17/bin",
                "usr/lib/postgresql/14/bin",
                "usr/lib/postgresql/9.6/bin"
            ]
        );
        Ok(())
    }
}
