//! The search for PostgreSQL: where, and in which order.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::postgres::{Account, Postgres, PostgresNotFound};

/// Where packages put the programs, below the root; `*` is a version, newest first.
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
/// The first installation is taken in this order: `postgres` or `initdb` on the path; `pg_config
/// --bindir`; the usual folders of packages, the newest version first; what was fetched before. An
/// installation counts if `postgres`, `initdb` and `pg_basebackup` all run as the user that will
/// run the servers. Existing data needs the major version that made it.
///
/// If there is none, one is fetched (cargo feature `fetch`) from the releases of
/// `theseus-rs/postgresql-binaries` on GitHub into [`cache`](Self::cache).
#[derive(Debug, Clone)]
pub struct Search {
    /// Folders as in the variable `PATH`.
    pub path: OsString,
    /// The folder that the usual folders are below: `/`.
    pub root: PathBuf,
    /// Where a fetched PostgreSQL is kept: `archipelago-lab` in `XDG_CACHE_HOME` or `~/.cache`. For
    /// root it is `/var/cache/archipelago-lab`, as the user that runs the servers cannot enter
    /// root's folders.
    pub cache: Option<PathBuf>,
    /// The mirror to fetch from instead (`ARCHIPELAGO_LAB_ARCHIVE_URL`). It answers
    /// `<url>/releases` as GitHub's API does for a repository, even from a file, and has a
    /// `.sha256` for each archive.
    pub archive_url: Option<String>,
}

impl Search {
    /// The search as this process's environment describes it.
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

    /// The first usable installation; `wanted` is the major version that made existing data.
    pub(crate) async fn find(
        &self,
        account: &Account,
        wanted: Option<u32>,
    ) -> Result<Postgres, Box<PostgresNotFound>> {
        let mut not_found =
            PostgresNotFound { wanted, looked: self.looked(), ..PostgresNotFound::default() };
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
        let (url, cache) = (self.archive_url.as_deref(), self.cache.as_deref());
        super::fetch::fetch(url, cache, || self.cached(), account, wanted).await
    }

    #[cfg(not(feature = "fetch"))]
    #[expect(clippy::unused_async, reason = "with the feature it waits for the network")]
    async fn fetch(&self, _: &Account, _: Option<u32>) -> Result<Postgres, String> {
        Err("this program was built without archipelago-lab's feature `fetch`".to_owned())
    }

    /// The folders that may hold an installation, each once, in the order of the search.
    fn candidates(&self) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> = Vec::new();
        let folders = || std::env::split_paths(&self.path).filter(|folder| folder.is_absolute());
        for folder in folders() {
            // A link to one program (`/usr/local/bin/postgres`) leads to the folder of all.
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

    /// The installations that were fetched before.
    pub(super) fn cached(&self) -> Vec<PathBuf> {
        self.cache.iter().flat_map(|cache| expand(cache, "*/bin")).collect()
    }

    /// What the search looks at, for a message.
    fn looked(&self) -> Vec<String> {
        let mut looked =
            vec![format!("PATH, for postgres, initdb and pg_config: {}", self.path.display())];
        looked.extend(USUAL.iter().map(|pattern| self.root.join(pattern).display().to_string()));
        looked.extend(self.cache.iter().map(|cache| cache.join("*/bin").display().to_string()));
        looked
    }
}

impl Default for Search {
    /// [`Search::from_env`].
    fn default() -> Self {
        Self::from_env()
    }
}

/// What `pg_config --bindir` prints, if there is such a program.
fn bindir(program: &Path) -> Option<PathBuf> {
    let answer = std::process::Command::new(program).arg("--bindir").output().ok()?;
    let line = String::from_utf8(answer.stdout).ok()?;
    let folder = PathBuf::from(line.trim());
    folder.is_absolute().then_some(folder)
}

/// The folders that match a pattern with at most one `*`, the newest version first.
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
