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
    /// None, or one for all hosts, or one for each. They count, and not those of `config`.
    ports: Vec<u16>,
    tls: Tls,
    /// Knows the password instead of the URL.
    passwords: Option<PasswordSource>,
}

/// A server that a URL names.
#[derive(PartialEq)]
pub(crate) struct UrlServer {
    /// The host of its certificate and its password, or the folder of the socket.
    pub(crate) name: String,
    /// What leads to it: the name, or an address.
    pub(crate) host: Host,
    pub(crate) port: u16,
}

impl UrlServer {
    /// The same server for each spelling of its name.
    fn normalized(self) -> Self {
        let plain = |name: &str| name.trim_end_matches('.').to_ascii_lowercase();
        match &self.host {
            Host::Tcp(host) => {
                Self { name: plain(&self.name), host: Host::Tcp(plain(host)), ..self }
            }
            #[cfg(unix)]
            Host::Unix(_) => self,
        }
    }
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
    /// Its hosts have more or fewer addresses or ports.
    #[error("names more or fewer of `{0}` than hosts; give each host one, separated by commas")]
    Uneven(&'static str),
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
        let (own, rest) = split_parameters(&url);
        let tls = Tls::new(own.sslmode.as_deref(), own.sslrootcert.as_deref())?;
        let mut config =
            Config::from_str(&rest).map_err(|error| UrlError::Parameter(with_cause(&error)))?;
        config.ssl_mode(tls.mode().negotiation());
        for host in &own.hosts {
            config.host(host);
        }
        let ports =
            own.ports.iter().map(|port| parsed_port(port)).collect::<Result<Vec<_>, _>>()?;
        let ports = if ports.is_empty() { config.get_ports().to_vec() } else { ports };
        let (hosts, addresses) = (config.get_hosts().len(), config.get_hostaddrs().len());
        if hosts + addresses == 0 {
            return Err(UrlError::NoHost);
        }
        if hosts * addresses > 0 && hosts != addresses {
            return Err(UrlError::Uneven("hostaddr"));
        }
        if ports.len() > 1 && ports.len() != hosts.max(addresses) {
            return Err(UrlError::Uneven("port"));
        }
        Ok(Self { url, config, ports, tls, passwords: None })
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
        self.servers().next().map(|server| server.name).unwrap_or_default()
    }

    /// The port: 5432 where the URL names none.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port_of(0)
    }

    /// The port of its server of this index.
    fn port_of(&self, index: usize) -> u16 {
        self.ports.get(index).or(self.ports.first()).copied().unwrap_or(5432)
    }

    /// The servers that it names: one, or several that are tried in turn.
    pub(crate) fn servers(&self) -> impl Iterator<Item = UrlServer> {
        let (hosts, addresses) = (self.config.get_hosts(), self.config.get_hostaddrs());
        (0..hosts.len().max(addresses.len())).filter_map(move |index| {
            let address = addresses.get(index).map(ToString::to_string).map(Host::Tcp);
            let named = hosts.get(index).or(address.as_ref())?;
            let name = match named {
                Host::Tcp(name) => name.clone(),
                #[cfg(unix)]
                Host::Unix(folder) => folder.display().to_string(),
            };
            let host = address.clone().unwrap_or_else(|| named.clone());
            Some(UrlServer { name, host, port: self.port_of(index) })
        })
    }

    /// Whether it names the same hosts and ports. One server may have several names.
    pub(crate) fn is_same_server(&self, other: &Self) -> bool {
        self.servers().map(UrlServer::normalized).eq(other.servers().map(UrlServer::normalized))
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

    /// The password of the moment for one of its hosts. None where the URL holds it, or there is none.
    pub(crate) async fn password(
        &self,
        host: &str,
        port: u16,
    ) -> Result<Option<String>, DownReason> {
        let Some(passwords) = &self.passwords else { return Ok(None) };
        let user = self.config.get_user().unwrap_or_default().to_owned();
        let database = self.config.get_dbname().unwrap_or(&user).to_owned();
        let login = Login { user, host: host.to_owned(), port, database };
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

/// A port of a list. libpq takes an empty one for its default.
fn parsed_port(text: &str) -> Result<u16, UrlError> {
    let wrong = || UrlError::Parameter("port: write numbers of 1 to 65535".to_owned());
    if text.is_empty() {
        return Ok(5432);
    }
    text.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)
}

fn key(pair: &str) -> &str {
    pair.split_once('=').map_or(pair, |(key, _)| key)
}

/// What stands for itself neither in a URL's user and password nor in a parameter, and is left alone
/// by [`Url`].
fn encoded(text: &str) -> String {
    text.replace('%', "%25").replace('&', "%26")
}

/// The parameters that are read here.
#[derive(Default)]
struct OwnParameters {
    sslmode: Option<String>,
    sslrootcert: Option<String>,
    hosts: Vec<String>,
    ports: Vec<String>,
}

/// Takes parameters out of the URL that tokio-postgres does not read as libpq does: it knows neither
/// `verify-full` nor `sslrootcert`, takes a list of hosts for one, and adds hosts and ports to the URL's
/// own.
fn split_parameters(url: &Url) -> (OwnParameters, String) {
    let (mut own, mut rest) = (OwnParameters::default(), Vec::new());
    for pair in parameters(url) {
        let value = || {
            let pair = pair.replace('+', "%2B");
            let value = url::form_urlencoded::parse(pair.as_bytes()).next();
            value.map(|(_, value)| value.into_owned())
        };
        let list = || value().iter().flat_map(|list| list.split(',')).map(str::to_owned).collect();
        match key(pair) {
            "sslmode" => own.sslmode = value(),
            "sslrootcert" => own.sslrootcert = value(),
            "host" => own.hosts = list(),
            "port" => own.ports = list(),
            _ => rest.push(pair),
        }
    }
    let mut url = url.clone();
    if own.hosts.is_empty() || !url.has_host() {
        url.set_query((!rest.is_empty()).then(|| rest.join("&")).as_deref());
        return (own, url.to_string());
    }
    // A host as a parameter replaces the other one: `postgres://user@localhost/db?host=/socket`.
    let login = [("user", url.username()), ("password", url.password().unwrap_or_default())];
    let login = login.iter().filter(|(_, value)| !value.is_empty());
    let login = login.map(|(key, value)| format!("{key}={}", value.replace('&', "%26")));
    let parameters: Vec<_> = login.chain(rest.into_iter().map(str::to_owned)).collect();
    if own.ports.is_empty() {
        own.ports.extend(url.port().map(|port| port.to_string()));
    }
    (own, format!("{}://{}?{}", url.scheme(), url.path(), parameters.join("&")))
}

/// tokio-postgres says what went wrong in the cause: "invalid configuration: unknown option `x`".
fn with_cause(error: &tokio_postgres::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_urls_name_the_same_server() {
        for (one, other, expected) in [
            ("postgres://u@db/app", "postgres://v@db:5432/other?sslmode=disable", true),
            ("postgres://u@db/app", "postgres:///app?host=db", true),
            ("postgres://u@DB.internal./app", "postgres://u@db.internal/app", true),
            ("postgres://u@db:1/app", "postgres:///app?host=db&port=1", true),
            ("postgres:///app?host=a,b&port=1", "postgres:///app?host=a,b&port=1,1", true),
            ("postgres:///app?host=/socket", "postgres://u@localhost/app?host=/socket", true),
            ("postgres://u@db:1/app", "postgres://u@db:2/app", false),
            ("postgres://u@a/app", "postgres://u@b/app", false),
            ("postgres://u@a/app?hostaddr=10.0.0.1", "postgres://u@a/app", false),
        ] {
            let [one, other] = [one, other].map(|url| url.parse::<DatabaseUrl>().unwrap());
            assert_eq!(one.is_same_server(&other), expected, "{one} {other}");
        }
    }

    #[test]
    fn a_host_as_a_parameter_replaces_the_other_one() {
        let url: DatabaseUrl =
            "postgres://u%40v:p%26w@localhost:1/app?host=/a,b&application_name=x".parse().unwrap();
        let config = url.config();
        assert_eq!(config.get_hosts(), [Host::Unix("/a".into()), Host::Tcp("b".to_owned())]);
        assert_eq!((config.get_user(), config.get_password()), (Some("u@v"), Some(&b"p&w"[..])));
        assert_eq!((config.get_dbname(), url.port_of(1)), (Some("app"), 1));
        assert_eq!(config.get_application_name(), Some("x"));
    }
}
