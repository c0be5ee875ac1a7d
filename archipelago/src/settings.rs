//! Where the databases are, and how to use them: made from the environment, or by hand for a test.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `DATABASE_URL` | the primary; a replica's URL is derived from it by [`DatabaseUrl::of_region`] |
//! | `DATABASE_URL_<REGION>` | the URL of one region, used as it is; `-` in a code is written `_`. A further server of a region (`ord-2`) is used only with one |
//! | the `url_env` of a place | the same, under the name that regions.toml gives |
//! | `DATABASE_POOLER` | `session` where poolers lead to the databases and keep a server for each session ([`Settings::through_session_pooler`]); other poolers are refused |
//! | `DATABASE_READ_USER` | the role of the sessions for reading, in place of the URLs' own |
//! | `DATABASE_READ_PASSWORD` | the password of that role, if it has one |
//! | `FLY_REGION` | where this instance runs, a region or a place that the program was built for; unset on a laptop, where the primary serves the reads |
//! | `PRIMARY_REGION` | fly.toml's `primary_region`; must be the primary that the program was built with |
//! | `MONITOR_REST` | after how many seconds without a request the monitor rests ([`Settings::with_monitor_rest`]), 1 to 86400; never where it is unset |
//! | `POOL_SIZE` | connections to each server, reading and writing together (see [`Pool`](crate::Pool)), 1 to 1000; wins over regions.toml |
//!
//! A variable that is set and empty counts as unset. Spaces around a value do not count.

mod access;
mod environment;
mod login;
mod passfile;
mod region_set;
mod safeguard;
mod settings_error;
mod shown;
mod timeouts;
mod tls;
mod url;

use std::env::VarError;
use std::error::Error;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

pub use self::access::Access;
pub use self::environment::{override_variable, warn_of_unknown_overrides};
pub use self::login::Login;
use self::login::{PasswordSource, ReadingUser};
pub use self::region_set::RegionSet;
pub use self::safeguard::Safeguard;
pub(crate) use self::safeguard::Safeguards;
pub use self::settings_error::{SettingProblem, SettingsError};
pub use self::timeouts::Timeouts;
pub(crate) use self::tls::reasons;
pub use self::tls::{SslMode, TlsError};
pub use self::url::{DatabaseUrl, UrlError};
pub(crate) use self::url::{TargetSession, UrlServer};

/// After how long without a request the monitor may rest.
const MONITOR_RESTS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24);

/// How many connections to a server may be wanted.
const POOL_SIZES: RangeInclusive<u32> = 1..=1000;

/// How far behind a read may be by default: from one millisecond to a day, as in regions.toml.
const MAX_LAGS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_hours(24);

/// Where every region's database is, and how to use it. Made from the environment, or by hand for a
/// test.
#[derive(Clone, Debug)]
pub struct Settings {
    region: String,
    /// Whether an instance without a region is worth a warning.
    expects_region: bool,
    urls: Vec<(&'static str, DatabaseUrl)>,
    /// The further servers of a region that have no URL, and are not used.
    off: Vec<&'static str>,
    passwords: Option<PasswordSource>,
    reading_user: Option<ReadingUser>,
    pool_size: u32,
    shares_connections: bool,
    timeouts: Timeouts,
    max_lag: Option<Duration>,
    monitor_rest: Option<Duration>,
    migrations: Arc<[String]>,
    safeguards: Safeguards,
}

impl Settings {
    /// The settings of this process's environment. Does as [`warn_of_unknown_overrides`].
    ///
    /// # Errors
    /// Everything that is wrong, in one list.
    pub fn from_env<R: RegionSet>() -> Result<Self, SettingsError> {
        warn_of_unknown_overrides::<R>();
        Self::from_vars::<R>(|name| std::env::var(name))
    }

    /// The settings of any environment: `var` answers like [`std::env::var`].
    ///
    /// # Errors
    /// Everything that is wrong, in one list.
    pub fn from_vars<R: RegionSet>(
        var: impl Fn(&str) -> Result<String, VarError>,
    ) -> Result<Self, SettingsError> {
        environment::read::<R>(var)
    }

    /// One ordinary database that plays every region: for development and tests. The instance runs
    /// in no region until [`in_region`](Self::in_region) says otherwise.
    ///
    /// # Errors
    /// When `url` cannot be used.
    pub fn single_database<R: RegionSet>(url: &str) -> Result<Self, SettingsError> {
        let url: DatabaseUrl = url.parse()?;
        let urls = R::REGIONS.iter().map(|info| (info.code, url.clone())).collect();
        Ok(Self::with_urls(String::new(), urls, R::POOL_SIZE))
    }

    fn with_urls(region: String, urls: Vec<(&'static str, DatabaseUrl)>, pool_size: u32) -> Self {
        Self {
            region,
            expects_region: false,
            urls,
            off: Vec::new(),
            passwords: None,
            reading_user: None,
            pool_size,
            shares_connections: true,
            timeouts: Timeouts::default(),
            max_lag: None,
            monitor_rest: None,
            migrations: Arc::default(),
            safeguards: Safeguards::default(),
        }
    }

    /// Sets the region that this instance runs in. `Repos::new` refuses one that it does not know.
    #[must_use]
    pub fn in_region(mut self, region: impl Into<String>) -> Self {
        self.region = region.into();
        self
    }

    /// Sets the URL of one region's database.
    ///
    /// # Errors
    /// When `url` cannot be used, or there is no such region.
    pub fn with_url(mut self, region: &str, url: &str) -> Result<Self, SettingsError> {
        let name = override_variable(region);
        let url: DatabaseUrl =
            url.parse().map_err(|problem| SettingProblem::Url { name, problem })?;
        let known = self.urls.iter_mut().find(|(code, _)| *code == region);
        let (code, known) = known.ok_or_else(|| SettingProblem::NoRegion(region.to_owned()))?;
        self.off.retain(|off| off != code);
        let url = if known.pools_sessions() { url.through_session_pooler() } else { url };
        *known = match &self.passwords {
            Some(passwords) => url.with_passwords(passwords.clone()),
            None => url,
        };
        Ok(self)
    }

    /// Goes on where a pooler leads to a database: it must keep a server for each session, as `PgBouncer`
    /// does with `pool_mode = session`. Without this a connection through a pooler is refused with
    /// [`DownReason::Pooler`](crate::DownReason::Pooler), as those that change the server between two
    /// transactions would hand this program's settings to others.
    #[must_use]
    pub fn through_session_pooler(mut self) -> Self {
        for (_, url) in &mut self.urls {
            *url = url.clone().through_session_pooler();
        }
        self
    }

    /// Has each new connection ask `ask` for its password, in place of one in the URL: for tokens
    /// that expire, as those of RDS and Cloud SQL do.
    ///
    /// `ask` may run for several connections at once, on any of the program's runtimes and on the
    /// monitor's own. It counts into the time of [`Timeouts::checkout`]. Its error is a
    /// [`DownReason::NoPassword`](crate::DownReason::NoPassword), whose text goes to logs.
    ///
    /// ```
    /// use archipelago::{Login, Settings};
    ///
    /// archipelago::repos! { primary home; replica near }
    ///
    /// async fn token(login: Login) -> Result<String, std::io::Error> {
    ///     std::fs::read_to_string(format!("/run/secrets/{}", login.user))
    /// }
    ///
    /// # fn example() -> Result<(), archipelago::SettingsError> {
    /// let settings = Settings::single_database::<Repos>("postgres://app@db.example/app")?
    ///     .with_password(token);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_password<A, E>(mut self, ask: impl Fn(Login) -> A + Send + Sync + 'static) -> Self
    where
        A: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let passwords = PasswordSource::new(ask);
        for (_, url) in &mut self.urls {
            *url = url.clone().with_passwords(passwords.clone());
        }
        self.passwords = Some(passwords);
        self
    }

    /// Has the sessions for reading log in as another role, which may have no right but SELECT. The
    /// monitor logs in as that role too. Without a password, none is sent, or the one of
    /// [`with_password`](Self::with_password).
    #[must_use]
    pub fn with_reading_user(mut self, user: impl Into<String>, password: Option<String>) -> Self {
        self.reading_user = Some(ReadingUser { user: user.into(), password });
        self
    }

    /// Sets how many connections this process may have to each region, for reading and writing
    /// together ([`Pool`](crate::Pool)): 1 to 1000. `Repos::new` refuses any other.
    #[must_use]
    pub fn with_pool_size(mut self, size: u32) -> Self {
        self.pool_size = size;
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
    /// [`RegionSet::MAX_LAG`]: 1 ms to 24 h. `Repos::new` refuses any other.
    #[must_use]
    pub fn with_max_lag(mut self, limit: Duration) -> Self {
        self.max_lag = Some(limit);
        self
    }

    /// Lets the monitor rest once no read or write has come for as long as `after`: it closes its
    /// connections and asks nothing, so that a database that sleeps while it is idle can sleep. By
    /// default it never rests.
    ///
    /// `after` is 1 s to 24 h, and counts as at least as long as a statement or a transaction may take
    /// ([`Timeouts`]). `Repos::new` refuses any other.
    ///
    /// The next read or write wakes it. A write, and a read from the primary, then wait for an
    /// election, as another primary may have been promoted meanwhile: a connection to each member is
    /// opened, and one that is silent takes a second. On a primary without writes, replicas show
    /// nothing young enough at first, and the primary serves. What
    /// [`Member::health`](crate::Member::health) tells during a rest is from before. The pools close
    /// their own connections after [`Timeouts::idle`].
    #[must_use]
    pub fn with_monitor_rest(mut self, after: Duration) -> Self {
        self.monitor_rest = Some(after);
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

    /// Checks for these regions what was set by hand, and warns of a region that is not set.
    ///
    /// # Errors
    /// Everything that is wrong, in one list.
    pub(crate) fn check<R: RegionSet>(&self) -> Result<(), SettingsError> {
        let mut problems = Vec::new();
        if !self.region.is_empty() && !R::knows(&self.region) {
            problems.push(environment::unknown_region::<R>("this instance's region", &self.region));
        }
        if !POOL_SIZES.contains(&self.pool_size) {
            problems.push(environment::wrong_pool_size("the pool size", self.pool_size));
        }
        let max_lag = self.max_lag.unwrap_or(R::MAX_LAG);
        if !MAX_LAGS.contains(&max_lag) {
            let (value, advice) =
                (format!("{max_lag:?}"), "write one from 1 ms to 24 h".to_owned());
            problems.push(SettingProblem::Invalid { name: "max_lag".to_owned(), value, advice });
        }
        if let Some(rest) = self.monitor_rest.filter(|rest| !MONITOR_RESTS.contains(rest)) {
            let (name, value) = ("the rest of the monitor".to_owned(), format!("{rest:?}"));
            let advice = "write one from 1 s to 24 h".to_owned();
            problems.push(SettingProblem::Invalid { name, value, advice });
        }
        if self.expects_region && self.region.is_empty() {
            tracing::warn!(
                "FLY_REGION is not set: the primary, however far away, serves this instance's \
                 reads; set it to the place where this instance runs"
            );
        }
        if problems.is_empty() { Ok(()) } else { Err(problems.into()) }
    }

    pub(crate) fn max_lag(&self) -> Option<Duration> {
        self.max_lag
    }

    pub(crate) fn monitor_rest(&self) -> Option<Duration> {
        self.monitor_rest
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
    pub fn url(&self, region: &str) -> Result<&DatabaseUrl, SettingsError> {
        let found = self.urls.iter().find(|(code, _)| *code == region);
        Ok(found.map(|(_, url)| url).ok_or_else(|| SettingProblem::NoRegion(region.to_owned()))?)
    }

    /// Whether a further server of a region is not used, as it has no URL.
    pub(crate) fn is_off(&self, code: &str) -> bool {
        self.off.contains(&code)
    }

    /// Where the sessions of a pool log in, and as whom.
    pub(crate) fn url_for(
        &self,
        region: &str,
        access: Access,
    ) -> Result<DatabaseUrl, SettingsError> {
        let url = self.url(region)?;
        match &self.reading_user {
            Some(role) if access == Access::Read => Ok(url.for_role(role)?),
            _ => Ok(url.clone()),
        }
    }

    /// How many connections this process may have to each server.
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
