//! A region as the generated code declares it, and which database served a query.

use std::fmt;
use std::time::Duration;

/// One region of a [`repos!`](crate::repos) call, as the generated `Repos::REGIONS` lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegionInfo {
    /// The server's code, for example `ord`: what `FLY_REGION` says on a machine there. The second
    /// server of that region is `ord-2`.
    pub code: &'static str,
    /// The region: the code, but for a further server of a region, as `ord` for `ord-2`.
    pub region: &'static str,
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

impl RegionInfo {
    /// For the code that `repos!` generates.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(
        code: &'static str,
        region: &'static str,
        repo: &'static str,
        role: Role,
        place: Option<&'static str>,
        line: Option<u32>,
        url_env: Option<&'static str>,
    ) -> Self {
        Self { code, region, repo, role, place, line, url_env }
    }
}

/// Where a place is on the earth.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Coordinates {
    /// The code of the place, which may be that of a region.
    pub place: &'static str,
    /// Degrees north of the equator, -90 to 90.
    pub latitude: f64,
    /// Degrees east of Greenwich, -180 to 180.
    pub longitude: f64,
}

impl Coordinates {
    /// For the code that `repos!` generates.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(place: &'static str, latitude: f64, longitude: f64) -> Self {
        Self { place, latitude, longitude }
    }
}

/// What a database does in the cluster: take the writes, or follow the one that does.
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

/// Why this database, and no other, served a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The region asked for has this database.
    Local,
    /// The region asked for has no database, and this one is the nearest.
    Nearest,
    /// A nearer database had not yet replayed what the visitor wrote or saw.
    Fresher,
    /// A nearer database is down, or is further behind than the read allows.
    Failover,
    /// A write, a read that requires the primary, or no known region (a laptop, a test).
    Primary,
}

impl Reason {
    /// Every reason, in this order.
    pub const ALL: &'static [Self] =
        &[Self::Local, Self::Nearest, Self::Fresher, Self::Failover, Self::Primary];

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

/// Which database served a query, and why. Prints as the value of the header `x-served-by`:
/// `ord; role=replica; reason=local`, followed by `; stale=12s` for a stale answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServedBy {
    /// The region of the database.
    pub region: &'static str,
    /// The role that the database reported; before its first report, the role in regions.toml.
    pub role: Role,
    /// Why this database served the query.
    pub reason: Reason,
    /// How far behind the primary a stale answer is, or a lower bound of that. None for an answer
    /// that is as fresh as the read requires without [`or_stale`](crate::Replica::or_stale).
    pub stale: Option<Duration>,
}

impl ServedBy {
    /// An answer that is not stale.
    #[must_use]
    pub const fn new(region: &'static str, role: Role, reason: Reason) -> Self {
        Self { region, role, reason, stale: None }
    }
}

impl fmt::Display for ServedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { region, role, reason, stale } = self;
        write!(f, "{region}; role={role}; reason={reason}")?;
        stale.map_or(Ok(()), |stale| write!(f, "; stale={}s", stale.as_secs()))
    }
}

/// Where a write that arrives far from the primary runs (`[routing] writes` in regions.toml).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Writes {
    /// A proxy that understands `fly-replay` hands the request to an instance in the primary's
    /// region.
    Replay,
    /// This instance writes to the primary itself, over the long line.
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

/// A text that is no region of this program. The generated `Region::from_str` returns it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("`{given}` is no region of this program; its regions are {}", .known.join(", "))]
pub struct UnknownRegion {
    /// What was given.
    pub given: String,
    /// The codes of all regions.
    pub known: Vec<&'static str>,
}

impl UnknownRegion {
    /// For the code that `repos!` generates.
    #[doc(hidden)]
    #[must_use]
    pub fn new(given: &str, known: &[&'static str]) -> Self {
        Self { given: given.to_owned(), known: known.to_vec() }
    }
}
