//! What the environment says of the databases: every variable, checked at the start, all wrong ones at once.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `DATABASE_URL` | the primary; a replica's URL is made from it by [`DatabaseUrl::of_region`] |
//! | `DATABASE_URL_<REGION>` | the URL of one region, as it stands; `-` in a code is written `_` |
//! | the `url_env` of a place | the same, under the name that regions.toml gives |
//! | `FLY_REGION` | where this instance runs; unset on a laptop, and then the primary serves the reads |
//! | `PRIMARY_REGION` | fly.toml's `primary_region`; must be the primary that the program was built with |
//! | `POOL_SIZE` | connections to each region, divided among the cores ([`Pool`](crate::Pool) says how), 1 to 1000; wins over regions.toml |
//!
//! A variable that is set and empty counts as unset.

use std::env::VarError;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use crate::protection::Protections;
use crate::{DatabaseUrl, Protection, RegionInfo, RepoSet, Role, Timeouts, UrlError};

/// Where every region's database is, and how to use it. Made from the environment, or by hand for a test.
#[derive(Clone, Debug)]
pub struct Settings {
    region: String,
    urls: Vec<(&'static str, DatabaseUrl)>,
    pool_size: u32,
    sharing: bool,
    timeouts: Timeouts,
    max_lag: Option<Duration>,
    migration: Option<Arc<str>>,
    protections: Protections,
}

/// One thing that is wrong with the settings. Prints the variable's name, what is wrong and what to write.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// A variable that is needed is not set.
    #[error("{name} is not set; {advice}")]
    Missing {
        /// The variable.
        name: String,
        /// What to set it to.
        advice: String,
    },
    /// A variable holds something else than it should.
    #[error("{name} is `{value}`; {advice}")]
    Invalid {
        /// The variable.
        name: String,
        /// What it holds.
        value: String,
        /// What it should hold.
        advice: String,
    },
    /// A variable holds something that cannot be shown: it is no text, or it is a secret.
    #[error("{name} cannot be used; {advice}")]
    Unusable {
        /// The variable.
        name: String,
        /// What it should hold.
        advice: String,
    },
    /// A URL cannot be used.
    #[error("{name} {problem}")]
    Url {
        /// The variable.
        name: String,
        /// What is wrong with it.
        problem: UrlError,
    },
    /// The settings were made by hand, or for another set of repos, and leave a region out.
    #[error(
        "the settings have no region `{0}`; make them for the same repos that they are used with"
    )]
    NoRegion(String),
}

impl Settings {
    /// What the environment says.
    ///
    /// # Errors
    /// Everything that is wrong, in one list.
    pub fn from_env<R: RepoSet>() -> Result<Self, Vec<SettingError>> {
        Self::from_vars::<R>(|name| std::env::var(name))
    }

    /// What `var` says, which answers as [`std::env::var`] does.
    ///
    /// # Errors
    /// Everything that is wrong, in one list.
    pub fn from_vars<R: RepoSet>(
        var: impl Fn(&str) -> Result<String, VarError>,
    ) -> Result<Self, Vec<SettingError>> {
        let mut reader = Reader { var, errors: Vec::new() };
        let region = reader.text("FLY_REGION").unwrap_or_default();
        reader.primary_region::<R>();
        let pool_size = reader.pool_size().unwrap_or(R::POOL_SIZE);
        let base = reader.url("DATABASE_URL");
        let urls = R::REGIONS
            .iter()
            .filter_map(|info| Some((info.code, reader.region_url::<R>(info, base.as_ref())?)))
            .collect();
        if reader.errors.is_empty() {
            Ok(Self::with_urls(region, urls, pool_size))
        } else {
            Err(reader.errors)
        }
    }

    /// One ordinary database that plays every region: for development and tests. No region is this instance's own.
    ///
    /// # Errors
    /// When `url` cannot be used.
    pub fn single_database<R: RepoSet>(url: &str) -> Result<Self, UrlError> {
        let url: DatabaseUrl = url.parse()?;
        let urls = R::REGIONS.iter().map(|info| (info.code, url.clone())).collect();
        Ok(Self::with_urls(String::new(), urls, R::POOL_SIZE))
    }

    fn with_urls(region: String, urls: Vec<(&'static str, DatabaseUrl)>, pool_size: u32) -> Self {
        Self {
            region,
            urls,
            pool_size,
            sharing: true,
            timeouts: Timeouts::default(),
            max_lag: None,
            migration: None,
            protections: Protections::default(),
        }
    }

    /// The same, with this instance running in `region`.
    #[must_use]
    pub fn in_region(mut self, region: impl Into<String>) -> Self {
        self.region = region.into();
        self
    }

    /// The same, with `region`'s database at `url`.
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

    /// The same, with `size` connections to each region, divided among the cores as [`Pool`](crate::Pool) says.
    #[must_use]
    pub fn with_pool_size(mut self, size: u32) -> Self {
        self.pool_size = size.max(1);
        self
    }

    /// The same, with every read on a connection that it checks out, instead of one that reads share: to compare the two.
    #[must_use]
    pub fn without_sharing(mut self) -> Self {
        self.sharing = false;
        self
    }

    /// The same, with other bounds on waiting.
    #[must_use]
    pub fn with_timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// The same, with another limit on how far a replica may be behind than [`RepoSet::MAX_LAG`].
    #[must_use]
    pub fn with_max_lag(mut self, limit: Duration) -> Self {
        self.max_lag = Some(limit);
        self
    }

    /// The same, for a program that needs the schema of this migration: a database whose newest row of Diesel's
    /// `__diesel_schema_migrations` is older serves no reads.
    #[must_use]
    pub fn requiring_migration(mut self, version: &str) -> Self {
        self.migration = Some(version.into());
        self
    }

    /// The same, without one of the protections: for tests that must fail without it, and for nothing else.
    #[must_use]
    pub fn without(mut self, protection: Protection) -> Self {
        self.protections = self.protections.without(protection);
        self
    }

    pub(crate) fn max_lag(&self) -> Option<Duration> {
        self.max_lag
    }

    pub(crate) fn migration(&self) -> Option<Arc<str>> {
        self.migration.clone()
    }

    pub(crate) fn protections(&self) -> Protections {
        self.protections
    }

    /// Where this instance runs; empty when nobody said.
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

    /// Connections to each region, to be divided among the cores.
    #[must_use]
    pub fn pool_size(&self) -> u32 {
        self.pool_size
    }

    /// Whether reads share connections.
    #[must_use]
    pub fn sharing(&self) -> bool {
        self.sharing
    }

    /// The bounds on waiting.
    #[must_use]
    pub fn timeouts(&self) -> Timeouts {
        self.timeouts
    }
}

/// The variable that overrides one region's URL: `us-east-1` → `DATABASE_URL_US_EAST_1`.
#[must_use]
pub fn override_variable(region: &str) -> String {
    format!("DATABASE_URL_{}", region.to_ascii_uppercase().replace('-', "_"))
}

/// Reads variables and keeps what is wrong with them.
struct Reader<V> {
    var: V,
    errors: Vec<SettingError>,
}

impl<V: Fn(&str) -> Result<String, VarError>> Reader<V> {
    fn text(&mut self, name: &str) -> Option<String> {
        match (self.var)(name) {
            Ok(value) => Some(value).filter(|value| !value.is_empty()),
            Err(VarError::NotPresent) => None,
            Err(VarError::NotUnicode(_)) => {
                let advice = "it is not valid UTF-8: write it as text".to_owned();
                self.errors.push(SettingError::Unusable { name: name.to_owned(), advice });
                None
            }
        }
    }

    fn invalid(&mut self, name: &str, value: impl Display, advice: impl Into<String>) {
        self.errors.push(SettingError::Invalid {
            name: name.to_owned(),
            value: value.to_string(),
            advice: advice.into(),
        });
    }

    /// Several regions may miss the same variable.
    fn missing(&mut self, name: &str, advice: impl Into<String>) {
        let noted = |error: &SettingError| matches!(error, SettingError::Missing { name: noted, .. } if noted == name);
        if !self.errors.iter().any(noted) {
            self.errors
                .push(SettingError::Missing { name: name.to_owned(), advice: advice.into() });
        }
    }

    /// The same for every region.
    fn underivable(&mut self, problem: UrlError) {
        let noted = |error: &SettingError| {
            matches!(error, SettingError::Url { problem: UrlError::Underivable(_), .. })
        };
        if !self.errors.iter().any(noted) {
            self.errors.push(SettingError::Url { name: "DATABASE_URL".to_owned(), problem });
        }
    }

    fn url(&mut self, name: &str) -> Option<Result<DatabaseUrl, ()>> {
        let text = self.text(name)?;
        Some(text.parse().map_err(|problem| {
            self.errors.push(SettingError::Url { name: name.to_owned(), problem })
        }))
    }

    fn pool_size(&mut self) -> Option<u32> {
        let text = self.text("POOL_SIZE")?;
        let size = text.trim().parse().ok().filter(|size| (1..=1000).contains(size));
        if size.is_none() {
            self.invalid("POOL_SIZE", text, "write a number of connections from 1 to 1000");
        }
        size
    }

    fn primary_region<R: RepoSet>(&mut self) {
        let built = R::PRIMARY.code;
        if let Some(given) = self.text("PRIMARY_REGION").filter(|given| given != built) {
            let advice = format!(
                "this program was built with the primary in `{built}`: make `primary` in regions.toml and `primary_region` in \
                 fly.toml the same, and build again"
            );
            self.invalid("PRIMARY_REGION", given, advice);
        }
    }

    /// None when something about it is wrong, and has been noted.
    fn region_url<R: RepoSet>(
        &mut self,
        info: &'static RegionInfo,
        base: Option<&Result<DatabaseUrl, ()>>,
    ) -> Option<DatabaseUrl> {
        let overriding = override_variable(info.code);
        let explicit =
            self.url(&overriding).or_else(|| info.url_env.and_then(|name| self.url(name)));
        if let Some(explicit) = explicit {
            return explicit.ok();
        }
        let Some(base) = base else {
            match info.url_env {
                Some(name) => self.missing(
                    name,
                    format!("set it to the URL of the {} in region `{}`", info.role, info.code),
                ),
                None => self.missing(
                    "DATABASE_URL",
                    "set it to the URL of the primary; the replicas' URLs are made from it",
                ),
            }
            return None;
        };
        let base = base.as_ref().ok()?;
        if info.role == Role::Primary {
            return Some(base.clone());
        }
        // A single database plays every region; otherwise the place has said that the host rule does not lead to it.
        if let Some(name) = info.url_env.filter(|_| !base.is_one_database()) {
            self.missing(
                name,
                format!("regions.toml says that it holds the URL of region `{}`", info.code),
            );
            return None;
        }
        match base.of_region(info.code, R::knows) {
            Ok(url) => Some(url),
            Err(problem) => {
                self.underivable(problem);
                None
            }
        }
    }
}
