//! ```text
//! primary type; replica box; replica ok; replica none; replica string; replica s
//! ```

/// A region with a database of its own.
#[allow(dead_code, reason = "no program needs to name every region")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Region {
    /// `type`.
    Type,
    /// `box`.
    Box,
    /// `ok`.
    Ok,
    /// `none`.
    None,
    /// `string`.
    String,
    /// `s`.
    S,
}
#[allow(dead_code, reason = "no program needs to name every region")]
impl Region {
    /// Every region, the primary's first.
    pub const ALL: &'static [Self] = &[
        Self::Type,
        Self::Box,
        Self::Ok,
        Self::None,
        Self::String,
        Self::S,
    ];
    /// The region's code, as in `FLY_REGION`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Box => "box",
            Self::Ok => "ok",
            Self::None => "none",
            Self::String => "string",
            Self::S => "s",
        }
    }
    /// The replicas, nearest first, as seen from `place`; empty for an unknown place.
    #[must_use]
    pub fn nearest_to(_place: &str) -> &'static [Self] {
        &[]
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
            "type" => ::core::result::Result::Ok(Self::Type),
            "box" => ::core::result::Result::Ok(Self::Box),
            "ok" => ::core::result::Result::Ok(Self::Ok),
            "none" => ::core::result::Result::Ok(Self::None),
            "string" => ::core::result::Result::Ok(Self::String),
            "s" => ::core::result::Result::Ok(Self::S),
            _ => {
                ::core::result::Result::Err(
                    ::archipelago::UnknownRegion::new(
                        code,
                        &["type", "box", "ok", "none", "string", "s"],
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
struct EachRepo(RepoType, RepoBox, RepoOk, RepoNone, RepoString, RepoS);
#[allow(dead_code, reason = "no program needs every repo")]
impl Repos {
    /// The declarations of all regions, the primary first.
    pub const REGIONS: &'static [::archipelago::RegionInfo] = &[
        *RepoType::INFO,
        *RepoBox::INFO,
        *RepoOk::INFO,
        *RepoNone::INFO,
        *RepoString::INFO,
        *RepoS::INFO,
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
            RepoType {
                member: cluster.member(0),
            },
            RepoBox {
                member: cluster.member(1),
            },
            RepoOk {
                member: cluster.member(2),
            },
            RepoNone {
                member: cluster.member(3),
            },
            RepoString {
                member: cluster.member(4),
            },
            RepoS { member: cluster.member(5) },
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
            "type" => {
                ::archipelago::Replica::near(
                    &self.cluster,
                    &[0, 1, 2, 3, 4, 5],
                    ::archipelago::Reason::Local,
                )
            }
            "box" => {
                ::archipelago::Replica::near(
                    &self.cluster,
                    &[1, 0, 2, 3, 4, 5],
                    ::archipelago::Reason::Local,
                )
            }
            "ok" => {
                ::archipelago::Replica::near(
                    &self.cluster,
                    &[2, 0, 1, 3, 4, 5],
                    ::archipelago::Reason::Local,
                )
            }
            "none" => {
                ::archipelago::Replica::near(
                    &self.cluster,
                    &[3, 0, 1, 2, 4, 5],
                    ::archipelago::Reason::Local,
                )
            }
            "string" => {
                ::archipelago::Replica::near(
                    &self.cluster,
                    &[4, 0, 1, 2, 3, 5],
                    ::archipelago::Reason::Local,
                )
            }
            "s" => {
                ::archipelago::Replica::near(
                    &self.cluster,
                    &[5, 0, 1, 2, 3, 4],
                    ::archipelago::Reason::Local,
                )
            }
            _ => {
                ::archipelago::Replica::near(
                    &self.cluster,
                    &[0, 1, 2, 3, 4, 5],
                    ::archipelago::Reason::Primary,
                )
            }
        }
    }
    /// The repo of `type`.
    #[must_use]
    pub fn repo_type(&self) -> &RepoType {
        &self.each.0
    }
    /// The repo of `box`.
    #[must_use]
    pub fn repo_box(&self) -> &RepoBox {
        &self.each.1
    }
    /// The repo of `ok`.
    #[must_use]
    pub fn repo_ok(&self) -> &RepoOk {
        &self.each.2
    }
    /// The repo of `none`.
    #[must_use]
    pub fn repo_none(&self) -> &RepoNone {
        &self.each.3
    }
    /// The repo of `string`.
    #[must_use]
    pub fn repo_string(&self) -> &RepoString {
        &self.each.4
    }
    /// The repo of `s`.
    #[must_use]
    pub fn repo_s(&self) -> &RepoS {
        &self.each.5
    }
}
impl ::archipelago::RegionSet for Repos {
    const PRIMARY: &'static ::archipelago::RegionInfo = RepoType::INFO;
    const REGIONS: &'static [::archipelago::RegionInfo] = Self::REGIONS;
    const PLACES: &'static [&'static str] = &[];
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
/// The primary, `type`: reads and writes.
#[derive(Debug)]
pub struct RepoType {
    member: ::std::sync::Arc<::archipelago::Member>,
}
const _: () = {
    #[allow(dead_code, reason = "no program needs every repo")]
    impl RepoType {
        /// The region of this repo.
        pub const REGION: Region = Region::Type;
        /// The declaration of this region.
        pub const INFO: &'static ::archipelago::RegionInfo = &::archipelago::RegionInfo::new(
            "type",
            "type",
            "RepoType",
            ::archipelago::Role::Primary,
            ::core::option::Option::None,
            ::core::option::Option::None,
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
/// The replica in `box`: reads only.
#[derive(Debug)]
pub struct RepoBox {
    member: ::std::sync::Arc<::archipelago::Member>,
}
const _: () = {
    #[allow(dead_code, reason = "no program needs every repo")]
    impl RepoBox {
        /// The region of this repo.
        pub const REGION: Region = Region::Box;
        /// The declaration of this region.
        pub const INFO: &'static ::archipelago::RegionInfo = &::archipelago::RegionInfo::new(
            "box",
            "box",
            "RepoBox",
            ::archipelago::Role::Replica,
            ::core::option::Option::None,
            ::core::option::Option::None,
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
/// The replica in `ok`: reads only.
#[derive(Debug)]
pub struct RepoOk {
    member: ::std::sync::Arc<::archipelago::Member>,
}
const _: () = {
    #[allow(dead_code, reason = "no program needs every repo")]
    impl RepoOk {
        /// The region of this repo.
        pub const REGION: Region = Region::Ok;
        /// The declaration of this region.
        pub const INFO: &'static ::archipelago::RegionInfo = &::archipelago::RegionInfo::new(
            "ok",
            "ok",
            "RepoOk",
            ::archipelago::Role::Replica,
            ::core::option::Option::None,
            ::core::option::Option::None,
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
/// The replica in `none`: reads only.
#[derive(Debug)]
pub struct RepoNone {
    member: ::std::sync::Arc<::archipelago::Member>,
}
const _: () = {
    #[allow(dead_code, reason = "no program needs every repo")]
    impl RepoNone {
        /// The region of this repo.
        pub const REGION: Region = Region::None;
        /// The declaration of this region.
        pub const INFO: &'static ::archipelago::RegionInfo = &::archipelago::RegionInfo::new(
            "none",
            "none",
            "RepoNone",
            ::archipelago::Role::Replica,
            ::core::option::Option::None,
            ::core::option::Option::None,
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
/// The replica in `string`: reads only.
#[derive(Debug)]
pub struct RepoString {
    member: ::std::sync::Arc<::archipelago::Member>,
}
const _: () = {
    #[allow(dead_code, reason = "no program needs every repo")]
    impl RepoString {
        /// The region of this repo.
        pub const REGION: Region = Region::String;
        /// The declaration of this region.
        pub const INFO: &'static ::archipelago::RegionInfo = &::archipelago::RegionInfo::new(
            "string",
            "string",
            "RepoString",
            ::archipelago::Role::Replica,
            ::core::option::Option::None,
            ::core::option::Option::None,
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
/// The replica in `s`: reads only.
#[derive(Debug)]
pub struct RepoS {
    member: ::std::sync::Arc<::archipelago::Member>,
}
const _: () = {
    #[allow(dead_code, reason = "no program needs every repo")]
    impl RepoS {
        /// The region of this repo.
        pub const REGION: Region = Region::S;
        /// The declaration of this region.
        pub const INFO: &'static ::archipelago::RegionInfo = &::archipelago::RegionInfo::new(
            "s",
            "s",
            "RepoS",
            ::archipelago::Role::Replica,
            ::core::option::Option::None,
            ::core::option::Option::None,
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
