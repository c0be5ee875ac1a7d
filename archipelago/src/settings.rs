//! Where the databases are, and how to use them: made from the environment, or by hand for a test.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `DATABASE_URL` | the primary; a replica's URL is derived from it by [`DatabaseUrl::of_region`] |
//! | `DATABASE_URL_<REGION>` | the URL of one region, used as it is; `-` in a code is written `_` |
//! | the `url_env` of a place | the same, under the name that regions.toml gives |
//! | `FLY_REGION` | where this instance runs; unset on a laptop, where the primary serves the reads |
//! | `PRIMARY_REGION` | fly.toml's `primary_region`; must be the primary that the program was built with |
//! | `POOL_SIZE` | connections to each region, reading and writing together (see [`Pool`](crate::Pool)), 1 to 1000; wins over regions.toml |
//!
//! A variable that is set and empty counts as unset.

mod access;
mod environment;
mod region_set;
mod safeguard;
mod setting_error;
mod timeouts;
mod tls;
mod url;

use std::env::VarError;
use std::sync::Arc;
use std::time::Duration;

pub use self::access::Access;
pub use self::environment::override_variable;
pub use self::region_set::RegionSet;
pub use self::safeguard::Safeguard;
pub(crate) use self::safeguard::Safeguards;
pub use self::setting_error::SettingError;
pub use self::timeouts::Timeouts;
pub use self::url::{DatabaseUrl, UrlError};

/// Where every region's database is, and how to use it. Made from the environment, or by hand for a
/// test.
#[derive(Clone, Debug)]
pub struct Settings {
    region: String,
    urls: Vec<(&'static str, DatabaseUrl)>,
    pool_size: u32,
    shares_connections: bool,
    timeouts: Timeouts,
    max_lag: Option<Duration>,
    migrations: Arc<[String]>,
    safeguards: Safeguards,
}

impl Settings {
    /// The settings of this process's environment.
    ///
    /// # Errors
    /// Everything that is wrong, in one list.
    pub fn from_env<R: RegionSet>() -> Result<Self, Vec<SettingError>> {
        Self::from_vars::<R>(|name| std::env::var(name))
    }

    /// The settings of any environment: `var` answers like [`std::env::var`].
    ///
    /// # Errors
    /// Everything that is wrong, in one list.
    pub fn from_vars<R: RegionSet>(
        var: impl Fn(&str) -> Result<String, VarError>,
    ) -> Result<Self, Vec<SettingError>> {
        environment::read::<R>(var)
    }

    /// One ordinary database that plays every region: for development and tests. The instance runs
    /// in no region until [`in_region`](Self::in_region) says otherwise.
    ///
    /// # Errors
    /// When `url` cannot be used.
    pub fn single_database<R: RegionSet>(url: &str) -> Result<Self, UrlError> {
        let url: DatabaseUrl = url.parse()?;
        let urls = R::REGIONS.iter().map(|info| (info.code, url.clone())).collect();
        Ok(Self::with_urls(String::new(), urls, R::POOL_SIZE))
    }

    fn with_urls(region: String, urls: Vec<(&'static str, DatabaseUrl)>, pool_size: u32) -> Self {
        Self {
            region,
            urls,
            pool_size,
            shares_connections: true,
            timeouts: Timeouts::default(),
            max_lag: None,
            migrations: Arc::default(),
            safeguards: Safeguards::default(),
        }
    }

    /// Sets the region that this instance runs in.
    #[must_use]
    pub fn in_region(mut self, region: impl Into<String>) -> Self {
        self.region = region.into();
        self
    }

    /// Sets the URL of one region's database.
    ///
    /// # Errors
    /// When `url` cannot be used, or there is no such region.
    pub fn with_url(mut self, region: &str, url: &str) -> Result<Self, SettingError> {
        let name = override_variable(region);
        let url = url.parse().map_err(|problem| SettingError::Url { name, problem })?;
        let known = self.urls.iter_mut().find(|(code, _)| *code == region);
        let (_, known) = known.ok_or_else(|| SettingError::NoRegion(region.to_owned()))?;
        *known = url;
        Ok(self)
    }

    /// Sets how many connections this process may have to each region, for reading and writing
    /// together ([`Pool`](crate::Pool)). At least 1.
    #[must_use]
    pub fn with_pool_size(mut self, size: u32) -> Self {
        self.pool_size = size.max(1);
        self
    }

    /// Has every read check out a connection instead of sharing one: to compare the two.
    #[must_use]
    pub fn without_sharing(mut self) -> Self {
        self.shares_connections = false;
        self
    }

    /// Sets the bounds on waiting.
    #[must_use]
    pub fn with_timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Sets how far behind the primary a read may be by default, instead of
    /// [`RegionSet::MAX_LAG`].
    #[must_use]
    pub fn with_max_lag(mut self, limit: Duration) -> Self {
        self.max_lag = Some(limit);
        self
    }

    /// Requires migrations, by their versions: a database that lacks any of them in Diesel's
    /// `__diesel_schema_migrations` serves no reads ([`DownReason::SchemaTooOld`]). The login role
    /// needs SELECT on that table.
    ///
    /// [`DownReason::SchemaTooOld`]: crate::DownReason::SchemaTooOld
    #[must_use]
    pub fn requiring_migrations(
        mut self,
        versions: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.migrations = versions.into_iter().map(Into::into).collect();
        self
    }

    /// Switches off a safeguard, for tests that must fail without it.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn without(mut self, safeguard: Safeguard) -> Self {
        self.safeguards = self.safeguards.without(safeguard);
        self
    }

    pub(crate) fn max_lag(&self) -> Option<Duration> {
        self.max_lag
    }

    pub(crate) fn migrations(&self) -> Arc<[String]> {
        self.migrations.clone()
    }

    pub(crate) fn safeguards(&self) -> Safeguards {
        self.safeguards
    }

    /// The region that this instance runs in; empty where none is set.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Where `region`'s database is.
    ///
    /// # Errors
    /// When the settings have no such region.
    pub fn url(&self, region: &str) -> Result<&DatabaseUrl, SettingError> {
        let found = self.urls.iter().find(|(code, _)| *code == region);
        found.map(|(_, url)| url).ok_or_else(|| SettingError::NoRegion(region.to_owned()))
    }

    /// How many connections this process may have to each region.
    #[must_use]
    pub fn pool_size(&self) -> u32 {
        self.pool_size
    }

    /// Whether reads share connections.
    #[must_use]
    pub fn shares_connections(&self) -> bool {
        self.shares_connections
    }

    /// The bounds on waiting.
    #[must_use]
    pub fn timeouts(&self) -> Timeouts {
        self.timeouts
    }
}
