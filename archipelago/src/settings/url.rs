//! The URL of a database, and the rule that makes a region's URL from the one that Fly attaches.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use tokio_postgres::Config;
use tokio_postgres::config::Host;
use url::Url;

use crate::tls::{SslMode, Tls, TlsError};

/// The port at which an unmanaged Fly Postgres member itself answers; 5432 leads to the primary from everywhere.
/// Source: <https://fly.io/docs/postgres/advanced-guides/high-availability-and-global-replication/>.
const MEMBER_PORT: u16 = 5433;

/// A `postgres://` URL that was checked. Neither its `Debug` nor its `Display` shows the password.
#[derive(Clone)]
pub struct DatabaseUrl {
    url: Url,
    config: Config,
    tls: Tls,
}

/// What is wrong with a URL. The URL itself is not shown: it holds a password.
#[derive(Debug, thiserror::Error)]
pub enum UrlError {
    /// It is not a URL at all.
    #[error(
        "is not a URL ({0}); write postgres://USER:PASSWORD@HOST:PORT/DATABASE, with special characters percent-encoded"
    )]
    Syntax(#[from] url::ParseError),
    /// It is a URL of something else.
    #[error("starts with `{0}://`; write postgres://… or postgresql://…")]
    Scheme(String),
    /// It names neither a host nor a socket's folder.
    #[error("names no host; write postgres://USER:PASSWORD@HOST:PORT/DATABASE")]
    NoHost,
    /// tokio-postgres refuses a part or a parameter.
    #[error("cannot be used: {0}")]
    Parameter(String),
    /// No region's URL can be made from it.
    #[error(
        "{0}, so no region's host can be made from it; give each replica a URL of its own: DATABASE_URL_<REGION>"
    )]
    Underivable(&'static str),
    /// The TLS parameters cannot be followed.
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
        Ok(Self { url, config, tls })
    }

    /// The URL of `region`'s replica: `<region>.<host>` at port 5433, everything else kept.
    ///
    /// `top1.nearest.of.` and the like are taken off first. A host that leads to one place whatever is put before it is left
    /// as it is, port included: an IP address, `localhost`, a socket, a single label (a container's name), `.flycast`, a
    /// machine (`.vm.`) or a process group (`.process.`) of a Fly app, and a host that has a region in front already,
    /// as told by `is_region`.
    ///
    /// # Errors
    /// When the URL names several hosts, or its host in a parameter: there is no one host to put a region before.
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

    /// Whether it leads to one database by its nature, which plays every region: a socket, an address, `localhost`, or a single
    /// label such as a container's name.
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

    /// Whether the URL says something of `name` itself.
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

    /// How far TLS is asked for, in libpq's words: `prefer` where the URL says nothing.
    #[must_use]
    pub fn sslmode(&self) -> SslMode {
        self.tls.mode()
    }

    /// Everything but the TLS connector, as tokio-postgres takes it.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn tls(&self) -> &Tls {
        &self.tls
    }

    /// The whole URL, password included: for a program that wants one, such as a migration runner. Not for a log.
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

/// The host of a region's member, or none where the host leads to one place in any case.
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

/// The parameters as they stand, not decoded: a `+` is no space here.
fn parameters(url: &Url) -> impl Iterator<Item = &str> {
    url.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty())
}

fn key(pair: &str) -> &str {
    pair.split_once('=').map_or(pair, |(key, _)| key)
}

struct TlsParameters {
    mode: Option<String>,
    root_cert: Option<String>,
}

/// The parameters that are ours to follow, and the URL without them: tokio-postgres knows no `verify-full` and no `sslrootcert`.
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
