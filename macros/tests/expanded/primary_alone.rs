//! ```text
//! primary home;
//! nearest home:;
//! nearest away:
//! ```

/// A region with a database of its own.
#[allow(dead_code, reason = "no program needs to name every region")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Region {
    /// `home`.
    Home,
}
#[allow(dead_code, reason = "no program needs to name every region")]
impl Region {
    /// Every region, the primary's first.
    pub const ALL: &'static [Self] = &[Self::Home];
    /// The region's code, as in `FLY_REGION`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Home => "home",
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
            "home" => ::core::result::Result::Ok(Self::Home),
            _ => {
                ::core::result::Result::Err(
                    ::archipelago::UnknownRegion::new(code, &["home"]),
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
struct EachRepo(RepoHome);
#[allow(dead_code, reason = "no program needs every repo")]
impl Repos {
    /// The declarations of all regions, the primary first.
    pub const REGIONS: &'static [::archipelago::RegionInfo] = &[*RepoHome::INFO];
    /// Creates every repo, and connects to each database when it is first used.
    ///
    /// # Errors
    /// If the settings belong to other regions, or one of them cannot be used.
    pub fn new(
        settings: &::archipelago::Settings,
    ) -> ::core::result::Result<Self, ::archipelago::SettingsError> {
        let cluster = ::archipelago::Cluster::new::<Self>(settings)?;
        let each = EachRepo(RepoHome {
            member: cluster.member(0),
        });
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
            "home" => {
                ::archipelago::Replica::near(
                    &self.cluster,
                    &[0],
                    ::archipelago::Reason::Local,
                )
            }
            _ => {
                ::archipelago::Replica::near(
                    &self.cluster,
                    &[0],
                    ::archipelago::Reason::Primary,
                )
            }
        }
    }
    /// The repo of `home`.
    #[must_use]
    pub fn repo_home(&self) -> &RepoHome {
        &self.each.0
    }
}
impl ::archipelago::RegionSet for Repos {
    const PRIMARY: &'static ::archipelago::RegionInfo = RepoHome::INFO;
    const REGIONS: &'static [::archipelago::RegionInfo] = Self::REGIONS;
    const PLACES: &'static [&'static str] = &["home", "away"];
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
/// The primary, `home`: reads and writes.
#[derive(Debug)]
pub struct RepoHome {
    member: ::std::sync::Arc<::archipelago::Member>,
}
const _: () = {
    #[allow(dead_code, reason = "no program needs every repo")]
    impl RepoHome {
        /// The region of this repo.
        pub const REGION: Region = Region::Home;
        /// The declaration of this region.
        pub const INFO: &'static ::archipelago::RegionInfo = &::archipelago::RegionInfo::new(
            "home",
            "home",
            "RepoHome",
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
