//! The URL of a database, and the rule that derives a replica's URL from the one that Fly attaches.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use tokio_postgres::Config;
use tokio_postgres::config::Host;
use url::Url;

use crate::error::DownReason;

use super::login::{Login, PasswordSource, ReadingUser};
use super::tls::{SslMode, Tls, TlsError};

/// The port of one member of an unmanaged Fly Postgres cluster; port 5432 leads to the primary.
/// Source:
/// <https://fly.io/docs/postgres/advanced-guides/high-availability-and-global-replication/>.
const MEMBER_PORT: u16 = 5433;

/// A checked `postgres://` URL. Neither its `Debug` nor its `Display` shows the password.
#[derive(Clone)]
pub struct DatabaseUrl {
    url: Url,
    config: Config,
    tls: Tls,
    /// Knows the password instead of the URL.
    passwords: Option<PasswordSource>,
}

/// What is wrong with a URL. The text of the URL is not shown: it holds a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// It is not a URL.
    #[error(
        "is not a URL ({0}); write postgres://USER:PASSWORD@HOST:PORT/DATABASE, with special characters percent-encoded"
    )]
    Syntax(#[from] url::ParseError),
    /// Its scheme is not PostgreSQL's.
    #[error("starts with `{0}://`; write postgres://… or postgresql://…")]
    Scheme(String),
    /// It names neither a host nor the folder of a socket.
    #[error("names no host; write postgres://USER:PASSWORD@HOST:PORT/DATABASE")]
    NoHost,
    /// tokio-postgres refuses a part or a parameter of it.
    #[error("cannot be used: {0}")]
    Parameter(String),
    /// No region's URL can be derived from it.
    #[error(
        "{0}, so no region's host can be made from it; give each replica a URL of its own: DATABASE_URL_<REGION>"
    )]
    Underivable(&'static str),
    /// Its TLS parameters are wrong.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl FromStr for DatabaseUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        Self::new(Url::parse(text)?)
    }
}

impl DatabaseUrl {
    fn new(url: Url) -> Result<Self, UrlError> {
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(UrlError::Scheme(url.scheme().to_owned()));
        }
        let (tls, rest) = split_tls_parameters(&url);
        let tls = Tls::new(tls.mode.as_deref(), tls.root_cert.as_deref())?;
        let mut config = Config::from_str(rest.as_str())
            .map_err(|error| UrlError::Parameter(with_cause(&error)))?;
        config.ssl_mode(tls.mode().negotiation());
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(UrlError::NoHost);
        }
        Ok(Self { url, config, tls, passwords: None })
    }

    /// The URL of `region`'s replica: `<region>.<host>` at port 5433, everything else unchanged.
    ///
    /// A prefix like `top1.nearest.of.` is removed first. The URL stays as it is, port included,
    /// where its host leads to one server whatever is put before it: an IP address, `localhost`, a
    /// socket, a single label (a container's name), `.flycast`, a machine (`.vm.`) or a process
    /// group (`.process.`) of a Fly app, and a host that begins with a region already, as
    /// `is_region` tells.
    ///
    /// # Errors
    /// When the URL names several hosts, or its host in a parameter.
    pub fn of_region(
        &self,
        region: &str,
        is_region: impl Fn(&str) -> bool,
    ) -> Result<Self, UrlError> {
        if self.is_one_database() {
            return Ok(self.clone());
        }
        if self.config.get_hosts().len() > 1 {
            return Err(UrlError::Underivable("names several hosts"));
        }
        if self.has_parameter("host") {
            return Err(UrlError::Underivable("names its host in a parameter"));
        }
        let Some(host) = region_host(&self.host(), region, is_region) else {
            return Ok(self.clone());
        };
        let mut url = self.url.clone();
        url.set_host(Some(&host))?;
        url.set_port(Some(MEMBER_PORT)).map_err(|()| UrlError::NoHost)?;
        let rest: Vec<_> =
            parameters(&url).filter(|pair| key(pair) != "port").map(str::to_owned).collect();
        url.set_query((!rest.is_empty()).then(|| rest.join("&")).as_deref());
        Self::new(url)
    }

    /// Whether its host can only be one database, which then plays every region: a socket, an
    /// address, `localhost`, or a single label such as a container's name.
    #[must_use]
    pub fn is_one_database(&self) -> bool {
        if !self.config.get_hostaddrs().is_empty() {
            return true;
        }
        self.config.get_hosts().iter().all(|host| match host {
            Host::Tcp(host) => {
                let host = host.trim_end_matches('.').to_ascii_lowercase();
                host.parse::<IpAddr>().is_ok()
                    || !host.contains('.')
                    || host.ends_with(".localhost")
            }
            #[cfg(unix)]
            Host::Unix(_) => true,
        })
    }

    /// Whether its host is this machine, which the name of a container may be as well.
    pub(super) fn is_on_this_machine(&self) -> bool {
        let is_loopback = |host: &str| match host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => host == "localhost" || host.ends_with(".localhost"),
        };
        self.host().starts_with('/') || is_loopback(&self.host().to_ascii_lowercase())
    }

    /// Whether the URL has a parameter of this name.
    pub(crate) fn has_parameter(&self, name: &str) -> bool {
        parameters(&self.url).any(|pair| key(pair) == name)
    }

    /// The host, or the folder of the socket.
    #[must_use]
    pub fn host(&self) -> String {
        match (self.config.get_hosts().first(), self.config.get_hostaddrs().first()) {
            (Some(Host::Tcp(host)), _) => host.clone(),
            #[cfg(unix)]
            (Some(Host::Unix(folder)), _) => folder.display().to_string(),
            (None, Some(address)) => address.to_string(),
            (None, None) => String::new(),
        }
    }

    /// The port: 5432 where the URL names none.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.config.get_ports().first().copied().unwrap_or(5432)
    }

    /// The `sslmode`: `prefer` where the URL names none.
    #[must_use]
    pub fn sslmode(&self) -> SslMode {
        self.tls.mode()
    }

    /// The same database, whose password is asked of `passwords`.
    pub(super) fn with_passwords(self, passwords: PasswordSource) -> Self {
        Self { passwords: Some(passwords), ..self }
    }

    /// The same database for another role, which takes no password from this URL.
    pub(super) fn for_role(&self, role: &ReadingUser) -> Result<Self, UrlError> {
        let (user, password) = (encoded(&role.user), role.password.as_deref().map(encoded));
        let mut url = self.url.clone();
        let others = parameters(&url).filter(|pair| !["user", "password"].contains(&key(pair)));
        let mut query: Vec<_> = others.map(str::to_owned).collect();
        if url.has_host() {
            url.set_username(&user).map_err(|()| UrlError::NoHost)?;
            url.set_password(password.as_deref()).map_err(|()| UrlError::NoHost)?;
        } else {
            query.push(format!("user={user}"));
            query.extend(password.map(|password| format!("password={password}")));
        }
        url.set_query((!query.is_empty()).then(|| query.join("&")).as_deref());
        Ok(Self { passwords: self.passwords.clone(), ..Self::new(url)? })
    }

    /// The password of the moment. None where the URL holds it, or there is none.
    pub(crate) async fn password(&self) -> Result<Option<String>, DownReason> {
        let Some(passwords) = &self.passwords else { return Ok(None) };
        let user = self.config.get_user().unwrap_or_default().to_owned();
        let database = self.config.get_dbname().unwrap_or(&user).to_owned();
        let login = Login { user, host: self.host(), port: self.port(), database };
        passwords.password(login).await.map(Some)
    }

    /// The URL as tokio-postgres's configuration, without the TLS connector.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn tls(&self) -> &Tls {
        &self.tls
    }

    /// The whole URL with its password, for programs such as a migration runner. Never log it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.url.as_str()
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.host();
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        write!(
            f,
            "postgres://{}@{host}:{}",
            self.config.get_user().unwrap_or_default(),
            self.port()
        )?;
        write!(f, "/{}", self.config.get_dbname().unwrap_or_default())
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

/// The host of a region's member. None where the host leads to one server in any case.
fn region_host(host: &str, region: &str, is_region: impl Fn(&str) -> bool) -> Option<String> {
    let lower = host.trim_end_matches('.').to_ascii_lowercase();
    let host = without_nearest(&lower);
    let (first, rest) = host.split_once('.')?;
    let is_fixed = host.ends_with(".flycast")
        || host.ends_with(".internal") && (rest.starts_with("vm.") || rest.starts_with("process."));
    // `ord.internal` is an app called ord; `ord.app.internal` is the app's member in ord.
    let has_region = is_region(first) && rest.contains('.');
    (!is_fixed && !has_region).then(|| format!("{region}.{host}"))
}

/// `top2.nearest.of.app.internal` → `app.internal`.
fn without_nearest(host: &str) -> &str {
    host.split_once(".nearest.of.")
        .filter(|(top, _)| {
            top.strip_prefix("top")
                .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
        })
        .map_or(host, |(_, rest)| rest)
}

/// The parameters, not decoded: in a PostgreSQL URL a `+` is no space.
fn parameters(url: &Url) -> impl Iterator<Item = &str> {
    url.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty())
}

fn key(pair: &str) -> &str {
    pair.split_once('=').map_or(pair, |(key, _)| key)
}

/// What stands for itself neither in a URL's user and password nor in a parameter, and is left alone
/// by [`Url`].
fn encoded(text: &str) -> String {
    text.replace('%', "%25").replace('&', "%26")
}

struct TlsParameters {
    mode: Option<String>,
    root_cert: Option<String>,
}

/// Takes the TLS parameters out of the URL: tokio-postgres knows neither `verify-full` nor
/// `sslrootcert`.
fn split_tls_parameters(url: &Url) -> (TlsParameters, Url) {
    let mut tls = TlsParameters { mode: None, root_cert: None };
    let mut rest = Vec::new();
    for pair in parameters(url) {
        let value = || {
            url::form_urlencoded::parse(pair.replace('+', "%2B").as_bytes())
                .next()
                .map(|(_, value)| value.into_owned())
        };
        match key(pair) {
            "sslmode" => tls.mode = value(),
            "sslrootcert" => tls.root_cert = value(),
            _ => rest.push(pair),
        }
    }
    let mut url = url.clone();
    url.set_query((!rest.is_empty()).then(|| rest.join("&")).as_deref());
    (tls, url)
}

/// tokio-postgres says what went wrong in the cause: "invalid configuration: unknown option `x`".
fn with_cause(error: &tokio_postgres::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
