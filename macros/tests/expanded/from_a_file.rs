//! ```text
//! source "regions.toml";
//! primary nrt { line: 1, place: "Tokyo, Japan" };
//! replica ord { line: 2, place: "Chicago, Illinois (US)" };
//! replica ams { line: 2, place: "Amsterdam, Netherlands" };
//! replica "us-east-1" { line: 3, url_env: "VIRGINIA_URL" };
//! nearest ams: ams, "us-east-1", ord;
//! nearest cdg: ams, "us-east-1", ord;
//! nearest nrt: ord, "us-east-1", ams;
//! nearest ord: ord, "us-east-1", ams;
//! nearest sjc: ord, "us-east-1", ams;
//! nearest "us-east-1": "us-east-1", ord, ams;
//! pool_size 8;
//! max_lag_ms 5000;
//! max_spill 20;
//! writes direct;
//! follow_promotions false;
//! ```

/// A region with a database of its own.
#[allow(dead_code, reason = "no program needs to name every region")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Region {
    /// `nrt` (Tokyo, Japan).
    Nrt,
    /// `ord` (Chicago, Illinois (US)).
    Ord,
    /// `ams` (Amsterdam, Netherlands).
    Ams,
    /// `us-east-1`.
    UsEast1,
}
#[allow(dead_code, reason = "no program needs to name every region")]
impl Region {
    /// Every region, the primary's first.
    pub const ALL: &'static [Self] = &[Self::Nrt, Self::Ord, Self::Ams, Self::UsEast1];
    /// The region's code, as in `FLY_REGION`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nrt => "nrt",
            Self::Ord => "ord",
            Self::Ams => "ams",
            Self::UsEast1 => "us-east-1",
        }
    }
    /// The replicas, nearest first, as seen from `place`; empty for an unknown place.
    #[must_use]
    pub fn nearest_to(place: &str) -> &'static [Self] {
        match place {
            "ams" | "cdg" => &[Self::Ams, Self::UsEast1, Self::Ord],
            "nrt" | "ord" | "sjc" => &[Self::Ord, Self::UsEast1, Self::Ams],
            "us-east-1" => &[Self::UsEast1, Self::Ord, Self::Ams],
            _ => &[],
        }
    }
}
impl ::core::fmt::Display for Region {
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        f.pad(self.as_str())
    }
}
impl ::core::str::FromStr for Region {
    type Err = ::archipelago::UnknownRegion;
    fn from_str(code: &str) -> ::core::result::Result<Self, Self::Err> {
        match code {
            "nrt" => ::core::result::Result::Ok(Self::Nrt),
            "ord" => ::core::result::Result::Ok(Self::Ord),
            "ams" => ::core::result::Result::Ok(Self::Ams),
            "us-east-1" => ::core::result::Result::Ok(Self::UsEast1),
            _ => {
                ::core::result::Result::Err(
                    ::archipelago::UnknownRegion::new(
                        code,
                        &["nrt", "ord", "ams", "us-east-1"],
                    ),
                )
            }
        }
    }
}
/// Every repo, and the routing among them.
///
/// [`connect`](Self::connect) creates it and [`shutdown`](Self::shutdown) closes it.
#[derive(Debug)]
pub struct Repos {
    region: ::std::string::String,
    cluster: ::archipelago::Cluster,
    each: ::std::boxed::Box<EachRepo>,
}
#[derive(Debug)]
struct EachRepo(RepoNrt, RepoOrd, RepoAms, RepoUsEast1);
#[allow(dead_code, reason = "no program needs every repo")]
impl Repos {
    /// The declarations of all regions, the primary first.
    pub const REGIONS: &'static [::archipelago::RegionInfo] = &[
        *RepoNrt::INFO,
        *RepoOrd::INFO,
        *RepoAms::INFO,
        *RepoUsEast1::INFO,
    ];
    /// Creates every repo, and connects to each database when it is first used.
    ///
    /// # Errors
    /// If the settings belong to other regions, or one of them cannot be used.
    pub fn new(
        settings: &::archipelago::Settings,
    ) -> ::core::result::Result<Self, ::archipelago::SettingsError> {
        let cluster = ::archipelago::Cluster::new::<Self>(settings)?;
        let each = EachRepo(
            RepoNrt {
                member: cluster.member(0),
            },
            RepoOrd {
                member: cluster.member(1),
            },
            RepoAms {
                member: cluster.member(2),
            },
            RepoUsEast1 {
                member: cluster.member(3),
            },
        );
        ::core::result::Result::Ok(Self {
            region: ::std::string::String::from(settings.region()),
            cluster,
            each: ::std::boxed::Box::new(each),
        })
    }
    /// Creates every repo, and connects to the primary and to the database of local reads.
    ///
    /// A shared connection belongs to the calling runtime. A database that is down is no error.
    ///
    /// # Errors
    /// If the settings belong to other regions, or one of them cannot be used.
    pub async fn connect(
        settings: &::archipelago::Settings,
    ) -> ::core::result::Result<Self, ::archipelago::SettingsError> {
        let repos = Self::new(settings)?;
        ::archipelago::RepoSet::warm_up(&repos).await;
        ::core::result::Result::Ok(repos)
    }
    /// Closes every connection after the queries in flight. A later query gets an error.
    pub async fn shutdown(&self) {
        ::archipelago::RepoSet::shut_down(self).await;
    }
    /// The region of this instance; empty if unknown.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }
    /// A handle to the primary, for writes. It follows a promotion to another region.
    #[must_use]
    pub fn primary(&self) -> ::archipelago::Primary<'_> {
        ::archipelago::Primary::new(&self.cluster)
    }
    /// A handle for reads from this instance's region, or else from the nearest replica.
    ///
    /// If a database cannot serve a read, the next nearest does.
    #[must_use]
    pub fn replica(&self) -> ::archipelago::Replica<'_> {
        self.replica_in(&self.region)
    }
    /// A handle for reads from the database in `region`, or else from the nearest replica.
    ///
    /// If a database cannot serve a read, the next nearest does. An unknown or empty `region`
    /// gets the primary.
    #[must_use]
    pub fn replica_in(&self, region: &str) -> ::archipelago::Replica<'_> {
        match region {
            "nrt" => {
                ::archipelago::Replica::near(
                    &self.cluster,
                    &[0, 1, 3, 2],
                    ::archipelago::Reason::Local,
                )
            }
            "ord" => {
                ::archipelago::Replica::near(
                    &self.cluster,
                    &[1, 3, 2, 0],
                    ::archipelago::Reason::Local,
                )
            }
            "ams" => {
                ::archipelago::Replica::near(
                    &self.cluster,
                    &[2, 3, 1, 0],
                    ::archipelago::Reason::Local,
                )
            }
            "us-east-1" => {
                ::archipelago::Replica::near(
                    &self.cluster,
                    &[3, 1, 2, 0],
                    ::archipelago::Reason::Local,
                )
            }
            "cdg" => {
                ::archipelago::Replica::near(
                    &self.cluster,
                    &[2, 3, 1, 0],
                    ::archipelago::Reason::Nearest,
                )
            }
            "sjc" => {
                ::archipelago::Replica::near(
                    &self.cluster,
                    &[1, 3, 2, 0],
                    ::archipelago::Reason::Nearest,
                )
            }
            _ => {
                ::archipelago::Replica::near(
                    &self.cluster,
                    &[0, 1, 2, 3],
                    ::archipelago::Reason::Primary,
                )
            }
        }
    }
    /// The repo of `nrt` (Tokyo, Japan).
    #[must_use]
    pub fn repo_nrt(&self) -> &RepoNrt {
        &self.each.0
    }
    /// The repo of `ord` (Chicago, Illinois (US)).
    #[must_use]
    pub fn repo_ord(&self) -> &RepoOrd {
        &self.each.1
    }
    /// The repo of `ams` (Amsterdam, Netherlands).
    #[must_use]
    pub fn repo_ams(&self) -> &RepoAms {
        &self.each.2
    }
    /// The repo of `us-east-1`.
    #[must_use]
    pub fn repo_us_east_1(&self) -> &RepoUsEast1 {
        &self.each.3
    }
}
impl ::archipelago::RegionSet for Repos {
    const PRIMARY: &'static ::archipelago::RegionInfo = RepoNrt::INFO;
    const REGIONS: &'static [::archipelago::RegionInfo] = Self::REGIONS;
    const PLACES: &'static [&'static str] = &[
        "ams",
        "cdg",
        "nrt",
        "ord",
        "sjc",
        "us-east-1",
    ];
    const POOL_SIZE: u32 = 8;
    const MAX_LAG: ::core::time::Duration = ::core::time::Duration::from_secs(5);
    const MAX_SPILL: u32 = 20;
    const WRITES: ::archipelago::Writes = ::archipelago::Writes::Direct;
    const FOLLOW_PROMOTIONS: bool = false;
    fn nearest_to(place: &str) -> impl ::core::iter::Iterator<Item = &'static str> {
        Region::nearest_to(place).iter().map(|region| region.as_str())
    }
}
impl ::archipelago::RepoSet for Repos {
    fn region(&self) -> &str {
        self.region()
    }
    fn cluster(&self) -> &::archipelago::Cluster {
        &self.cluster
    }
    fn replica(&self) -> ::archipelago::Replica<'_> {
        self.replica()
    }
    fn replica_in(&self, region: &str) -> ::archipelago::Replica<'_> {
        self.replica_in(region)
    }
}
/// The primary, `nrt` (Tokyo, Japan): reads and writes.
///
/// From regions.toml, line 1.
#[derive(Debug)]
pub struct RepoNrt {
    member: ::std::sync::Arc<::archipelago::Member>,
}
const _: () = {
    #[allow(dead_code, reason = "no program needs every repo")]
    impl RepoNrt {
        /// The region of this repo.
        pub const REGION: Region = Region::Nrt;
        /// The declaration of this region.
        pub const INFO: &'static ::archipelago::RegionInfo = &::archipelago::RegionInfo::new(
            "nrt",
            "nrt",
            "RepoNrt",
            ::archipelago::Role::Primary,
            ::core::option::Option::Some("Tokyo, Japan"),
            ::core::option::Option::Some(1),
            ::core::option::Option::None,
        );
        /// A handle that reads from this database only, however far away or behind it is.
        #[must_use]
        pub fn reads(&self) -> ::archipelago::Replica<'_> {
            ::archipelago::Replica::only(&self.member)
        }
        /// The connection pool of these reads.
        #[must_use]
        pub fn pool(&self) -> &::archipelago::Pool {
            self.member.reading()
        }
    }
};
/// The replica in `ord` (Chicago, Illinois (US)): reads only.
///
/// From regions.toml, line 2.
#[derive(Debug)]
pub struct RepoOrd {
    member: ::std::sync::Arc<::archipelago::Member>,
}
const _: () = {
    #[allow(dead_code, reason = "no program needs every repo")]
    impl RepoOrd {
        /// The region of this repo.
        pub const REGION: Region = Region::Ord;
        /// The declaration of this region.
        pub const INFO: &'static ::archipelago::RegionInfo = &::archipelago::RegionInfo::new(
            "ord",
            "ord",
            "RepoOrd",
            ::archipelago::Role::Replica,
            ::core::option::Option::Some("Chicago, Illinois (US)"),
            ::core::option::Option::Some(2),
            ::core::option::Option::None,
        );
        /// A handle that reads from this database only, however far away or behind it is.
        #[must_use]
        pub fn reads(&self) -> ::archipelago::Replica<'_> {
            ::archipelago::Replica::only(&self.member)
        }
        /// The connection pool of these reads.
        #[must_use]
        pub fn pool(&self) -> &::archipelago::Pool {
            self.member.reading()
        }
    }
};
/// The replica in `ams` (Amsterdam, Netherlands): reads only.
///
/// From regions.toml, line 2.
#[derive(Debug)]
pub struct RepoAms {
    member: ::std::sync::Arc<::archipelago::Member>,
}
const _: () = {
    #[allow(dead_code, reason = "no program needs every repo")]
    impl RepoAms {
        /// The region of this repo.
        pub const REGION: Region = Region::Ams;
        /// The declaration of this region.
        pub const INFO: &'static ::archipelago::RegionInfo = &::archipelago::RegionInfo::new(
            "ams",
            "ams",
            "RepoAms",
            ::archipelago::Role::Replica,
            ::core::option::Option::Some("Amsterdam, Netherlands"),
            ::core::option::Option::Some(2),
            ::core::option::Option::None,
        );
        /// A handle that reads from this database only, however far away or behind it is.
        #[must_use]
        pub fn reads(&self) -> ::archipelago::Replica<'_> {
            ::archipelago::Replica::only(&self.member)
        }
        /// The connection pool of these reads.
        #[must_use]
        pub fn pool(&self) -> &::archipelago::Pool {
            self.member.reading()
        }
    }
};
/// The replica in `us-east-1`: reads only.
///
/// From regions.toml, line 3.
#[derive(Debug)]
pub struct RepoUsEast1 {
    member: ::std::sync::Arc<::archipelago::Member>,
}
const _: () = {
    #[allow(dead_code, reason = "no program needs every repo")]
    impl RepoUsEast1 {
        /// The region of this repo.
        pub const REGION: Region = Region::UsEast1;
        /// The declaration of this region.
        pub const INFO: &'static ::archipelago::RegionInfo = &::archipelago::RegionInfo::new(
            "us-east-1",
            "us-east-1",
            "RepoUsEast1",
            ::archipelago::Role::Replica,
            ::core::option::Option::None,
            ::core::option::Option::Some(3),
            ::core::option::Option::Some("VIRGINIA_URL"),
        );
        /// A handle that reads from this database only, however far away or behind it is.
        #[must_use]
        pub fn reads(&self) -> ::archipelago::Replica<'_> {
            ::archipelago::Replica::only(&self.member)
        }
        /// The connection pool of these reads.
        #[must_use]
        pub fn pool(&self) -> &::archipelago::Pool {
            self.member.reading()
        }
    }
};
