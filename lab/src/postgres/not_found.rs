//! The message for a machine without PostgreSQL.

use std::fmt;
use std::path::PathBuf;

use crate::postgres::SUPPORTED;

/// Where PostgreSQL was looked for, why what was found is of no use, and why none was fetched.
#[derive(Debug, Default)]
pub struct PostgresNotFound {
    pub(super) wanted: Option<u32>,
    pub(super) looked: Vec<String>,
    pub(super) refused: Vec<(PathBuf, String)>,
    pub(super) fetch: String,
}

impl std::error::Error for PostgresNotFound {}

impl fmt::Display for PostgresNotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = self.wanted.map_or_else(
            || format!("{} to {}", SUPPORTED.start(), SUPPORTED.end()),
            |major| format!("{major}, which made the data that is there,"),
        );
        writeln!(f, "PostgreSQL {what} was not found, and could not be fetched.")?;
        writeln!(f, "Looked in:")?;
        for looked in &self.looked {
            writeln!(f, "  {looked}")?;
        }
        for (bin, why) in &self.refused {
            writeln!(f, "Found, but of no use: {}: {why}", bin.display())?;
        }
        writeln!(f, "Fetching: {}", self.fetch)?;
        let version = self.wanted.unwrap_or(17);
        write!(
            f,
            "Install it, then start again: `apt-get install postgresql{}` (Debian, Ubuntu), \
             `dnf install postgresql-server` (Fedora), `brew install postgresql@{version}` (macOS)",
            self.wanted.map(|major| format!("-{major}")).unwrap_or_default()
        )?;
        if self.wanted.is_some() {
            write!(f, "; or delete the data to start afresh with another version")?;
        }
        Ok(())
    }
}
