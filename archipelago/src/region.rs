//! What the generated code says of each region, and what an answer says of who served it.

use std::fmt;
use std::time::Duration;

/// One region of a [`repos!`](crate::repos) call, as the generated `Repos::REGIONS` lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegionInfo {
    /// The region's code, for example `ord`: what `FLY_REGION` says on a machine there.
    pub code: &'static str,
    /// The name of the generated struct, for example `RepoOrd`.
    pub repo: &'static str,
    /// What the region's database is.
    pub role: Role,
    /// Where the region is, for people: `Chicago, Illinois (US)`.
    pub place: Option<&'static str>,
    /// The line of regions.toml that names the region; none where the macro was written by hand.
    pub line: Option<u32>,
    /// The environment variable that holds the region's URL (`url_env` in regions.toml).
    pub url_env: Option<&'static str>,
}

/// What a database is to the others: the one that takes writes, or one that follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Takes reads and writes.
    Primary,
    /// Follows the primary by streaming replication; takes reads only.
    Replica,
}

impl Role {
    /// The word for it, as headers and pages have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Replica => "replica",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a request was served by the database that served it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The region asked for has a database of its own.
    Local,
    /// The region asked for has none, and this one is the nearest.
    Nearest,
    /// A nearer database had not replayed yet what the visitor wrote.
    Fresher,
    /// A nearer database cannot be reached, or is further behind than the read allows.
    Failover,
    /// It was a write, or no region is known to be near (a laptop, a test).
    Primary,
}

impl Reason {
    /// The word for it, as headers and pages have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Nearest => "nearest",
            Self::Fresher => "fresher",
            Self::Failover => "failover",
            Self::Primary => "primary",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Who served a query, and why. Prints as the value of the `x-served-by` header: `ord; role=replica; reason=local`, and behind it
/// `; stale=12s` where that is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServedBy {
    /// The region of the database.
    pub region: &'static str,
    /// What it said that it is; before it was asked, what regions.toml says.
    pub role: Role,
    /// Why this one.
    pub reason: Reason,
    /// How far behind the primary it may have been, where that is more than the read allows without
    /// [`or_stale`](crate::Replica::or_stale).
    pub stale: Option<Duration>,
}

impl fmt::Display for ServedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { region, role, reason, stale } = self;
        write!(f, "{region}; role={role}; reason={reason}")?;
        stale.map_or(Ok(()), |stale| write!(f, "; stale={}s", stale.as_secs()))
    }
}

/// Where a write that starts far from the primary is run (`[routing] writes` in regions.toml).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// The request is handed to an instance in the primary's region with `fly-replay`, where a proxy that can is in front.
    Replay,
    /// This instance writes to the primary over the long line.
    Direct,
}

impl fmt::Display for Writes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Replay => "replay",
            Self::Direct => "direct",
        })
    }
}

/// A string that is no region of this program: what the generated `Region::from_str` answers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is no region of this program; its regions are {}", .known.join(", "))]
pub struct UnknownRegion {
    /// What was given.
    pub given: String,
    /// The codes of all regions.
    pub known: Vec<&'static str>,
}
