//! The URL of a database, and the rule that derives a replica's URL from the one that Fly attaches.

mod config;
mod conninfo;
#[cfg(test)]
mod libpq;
mod parameter;
mod region_host;

use std::env::VarError;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use tokio_postgres::Config;
use tokio_postgres::config::Host;

use self::conninfo::Conninfo;
use self::region_host::region_host;
use super::login::{Login, PasswordSource, ReadingUser};
use super::passfile;
use super::tls::{SslMode, Tls, TlsError};
use crate::error::DownReason;

/// The port of one member of an unmanaged Fly Postgres cluster; port 5432 leads to the primary.
/// Source:
/// <https://fly.io/docs/postgres/advanced-guides/high-availability-and-global-replication/>.
const MEMBER_PORT: u16 = 5433;

/// A checked `postgres://` URL, read as libpq reads it: with its grammar, and with `PGUSER`,
/// `PGSSLROOTCERT` and its other variables, and the files in `~/.postgresql`, for what the URL does not
/// say. Neither its `Debug` nor its `Display` shows the password.
#[derive(Clone)]
pub struct DatabaseUrl {
    text: String,
    conninfo: Conninfo,
    servers: Vec<UrlServer>,
    config: Config,
    target: TargetSession,
    tls: Tls,
    passfile: Option<PathBuf>,
    /// Of the user: `.pgpass` and `.postgresql` are there.
    home: Option<PathBuf>,
    /// Knows the password instead of the URL.
    passwords: Option<PasswordSource>,
    /// Whether a pooler may stand before the servers, as it keeps a server for each session.
    pools_sessions: bool,
}

/// A server that a URL names.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct UrlServer {
    /// The host of its certificate and its password, or the folder of the socket.
    pub(crate) name: String,
    /// What leads to it: the name, or an address.
    pub(crate) host: Host,
    pub(crate) port: u16,
}

/// `target_session_attrs`: which of several servers is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TargetSession {
    Any,
    ReadWrite,
    ReadOnly,
    Primary,
    Standby,
    /// A standby if there is one, else any.
    PreferStandby,
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

/// What is wrong with a URL. Shows no text of it, which may hold a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// It is not a URL.
    #[error(
        "is not a URL ({0}); write postgres://USER:PASSWORD@HOST:PORT/DATABASE, with special characters percent-encoded"
    )]
    Syntax(&'static str),
    /// Its scheme is not PostgreSQL's.
    #[error("starts with `{0}://`; write postgres://… or postgresql://…")]
    Scheme(&'static str),
    /// It names neither a host nor the folder of a socket.
    #[error("names no host; write postgres://USER:PASSWORD@HOST:PORT/DATABASE")]
    NoHost,
    /// A parameter has a value that it cannot have.
    #[error("has a wrong `{name}`; write {advice}")]
    Value {
        /// The parameter, by its name.
        name: &'static str,
        /// What it may be.
        advice: &'static str,
    },
    /// libpq has no such parameter.
    #[error(
        "has a parameter that libpq does not know; write only those of https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS"
    )]
    Unknown,
    /// A parameter of libpq is not supported, or not with this value.
    #[error(
        "has a `{name}`{}, which Archipelago does not support; {}",
        of_variable(variable),
        instead(allowed)
    )]
    Unsupported {
        /// The parameter, by its name.
        name: &'static str,
        /// The variable that it may come from; empty where there is none.
        variable: &'static str,
        /// The values that it may have; empty if none.
        allowed: String,
    },
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

fn of_variable(variable: &str) -> String {
    if variable.is_empty() { String::new() } else { format!(" (or {variable} is set)") }
}

fn instead(allowed: &str) -> String {
    if allowed.is_empty() { "leave it out".to_owned() } else { format!("write {allowed}") }
}

/// Reads the variables of this process's environment for what the URL does not say.
impl FromStr for DatabaseUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        Self::read(text, &|name| std::env::var(name))
    }
}

impl DatabaseUrl {
    /// The URL `text`, with what the environment says beside it. `var` answers like
    /// [`std::env::var`].
    pub(super) fn read(
        text: &str,
        var: &dyn Fn(&str) -> Result<String, VarError>,
    ) -> Result<Self, UrlError> {
        let mut conninfo = Conninfo::parse(text)?;
        let has_odd_host = conninfo.get("host").is_some_and(|host| host.contains('@'));
        if has_odd_host || conninfo::has_stray_at(text) {
            return Err(UrlError::Syntax("it has an `@` more than the one before its host"));
        }
        let variables = parameter::variables().filter_map(|(name, variable)| {
            Some((name, var(variable).ok().filter(|value| !value.is_empty())?))
        });
        let missing: Vec<_> = variables.filter(|(name, _)| !has_value(&conninfo, name)).collect();
        let is_whole = missing.is_empty();
        for (name, value) in missing {
            conninfo.set(name, value);
        }
        // The old name of `PGSSLMODE=require`.
        let requires_tls = var("PGREQUIRESSL").is_ok_and(|value| value.starts_with('1'));
        let is_whole = is_whole && !requires_tls;
        if requires_tls && !has_value(&conninfo, "sslmode") {
            conninfo.set("sslmode", "require".to_owned());
        }
        let text = if is_whole { text.to_owned() } else { conninfo.to_string() };
        let home = match var("HOME") {
            Ok(home) if home.is_empty() => None,
            Ok(home) => Some(home.into()),
            // libpq asks the list of users too.
            Err(_) => std::env::home_dir(),
        };
        Self::new(text, conninfo, home, None)
    }

    /// `tls` is that of a URL with the same TLS parameters: making it may take 42 ms.
    fn new(
        text: String,
        conninfo: Conninfo,
        home: Option<PathBuf>,
        tls: Option<Tls>,
    ) -> Result<Self, UrlError> {
        parameter::check(&conninfo)?;
        // Messages show the user.
        if conninfo.get("user").is_some_and(|user| user.contains(':')) {
            return Err(UrlError::Syntax(
                "its user, or PGUSER, holds a `:`, as if a password followed",
            ));
        }
        let servers = config::servers(&conninfo)?;
        let get = |name| conninfo.get(name).filter(|value| !value.is_empty());
        let tls = tls.map_or_else(|| Tls::new(get, home.as_deref()), Ok)?;
        let config = config::config(&conninfo, tls.mode())?;
        let target = config::target_session(&conninfo)?;
        let in_home = || home.as_ref().map(|home| home.join(".pgpass"));
        let passfile = get("passfile").map(PathBuf::from).or_else(in_home);
        let (passwords, pools_sessions) = (None, false);
        Ok(Self {
            text,
            conninfo,
            servers,
            config,
            target,
            tls,
            passfile,
            home,
            passwords,
            pools_sessions,
        })
    }

    /// The same URL with other parameters, but for those of TLS.
    fn with(&self, change: impl FnOnce(&mut Conninfo)) -> Result<Self, UrlError> {
        let mut conninfo = self.conninfo.clone();
        change(&mut conninfo);
        let new =
            Self::new(conninfo.to_string(), conninfo, self.home.clone(), Some(self.tls.clone()))?;
        let passwords = self.passwords.clone();
        Ok(Self { passwords, pools_sessions: self.pools_sessions, ..new })
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
    /// When the URL names several hosts.
    pub fn of_region(
        &self,
        region: &str,
        is_region: impl Fn(&str) -> bool,
    ) -> Result<Self, UrlError> {
        if self.is_one_database() {
            return Ok(self.clone());
        }
        if self.servers.len() > 1 {
            return Err(UrlError::Underivable("names several hosts"));
        }
        match region_host(&self.host(), region, is_region) {
            Some(host) => self.with(|conninfo| {
                conninfo.set("host", host);
                conninfo.set("port", MEMBER_PORT.to_string());
            }),
            None => Ok(self.clone()),
        }
    }

    /// Whether its host can only be one database, which then plays every region: a socket, an
    /// address, `localhost`, or a single label such as a container's name.
    #[must_use]
    pub fn is_one_database(&self) -> bool {
        self.has_parameter("hostaddr")
            || self.servers.iter().all(|server| match &server.host {
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

    /// Whether the URL, or the environment beside it, has a parameter of this name.
    pub(crate) fn has_parameter(&self, name: &str) -> bool {
        has_value(&self.conninfo, name)
    }

    /// The host, or the folder of the socket.
    #[must_use]
    pub fn host(&self) -> String {
        self.servers.first().map(|server| server.name.clone()).unwrap_or_default()
    }

    /// The port: 5432 where the URL names none.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.servers.first().map(|server| server.port).unwrap_or_default()
    }

    /// The servers that it names: one, or several that are tried in turn.
    pub(crate) fn servers(&self) -> impl Iterator<Item = UrlServer> {
        self.servers.iter().cloned()
    }

    /// Which of several servers is wanted.
    pub(crate) fn target(&self) -> TargetSession {
        self.target
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

    /// The same database, which a pooler leads to that keeps a server for each session, as `PgBouncer`
    /// does with `pool_mode = session`. A connection through any other pooler is refused.
    #[must_use]
    pub fn through_session_pooler(self) -> Self {
        Self { pools_sessions: true, ..self }
    }

    /// Whether a pooler of sessions leads to it.
    pub(crate) fn pools_sessions(&self) -> bool {
        self.pools_sessions
    }

    /// The same database, whose password is asked of `passwords`.
    pub(super) fn with_passwords(self, passwords: PasswordSource) -> Self {
        Self { passwords: Some(passwords), ..self }
    }

    /// The same database for another role, which takes no password from this URL.
    pub(super) fn for_role(&self, role: &ReadingUser) -> Result<Self, UrlError> {
        self.with(|conninfo| {
            conninfo.set("user", role.user.clone());
            match &role.password {
                Some(password) => conninfo.set("password", password.clone()),
                None => conninfo.remove("password"),
            }
        })
    }

    /// The password of the moment for one of its hosts. None where the URL holds it, or there is none.
    pub(crate) async fn password(
        &self,
        host: &str,
        port: u16,
    ) -> Result<Option<String>, DownReason> {
        let user = self.config.get_user().unwrap_or_default().to_owned();
        let database = self.config.get_dbname().unwrap_or(&user).to_owned();
        let login = Login { user, host: host.to_owned(), port, database };
        match (&self.passwords, &self.passfile) {
            (Some(passwords), _) => passwords.password(login).await.map(Some),
            (None, Some(file)) if !self.has_parameter("password") => {
                Ok(passfile::password(file, &login))
            }
            _ => Ok(None),
        }
    }

    /// As tokio-postgres has it, without hosts, ports and TLS.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn tls(&self) -> &Tls {
        &self.tls
    }

    /// The whole URL with its password, for programs such as a migration runner. Never log it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }
}

/// libpq takes an empty value for none.
fn has_value(conninfo: &Conninfo, name: &str) -> bool {
    conninfo.get(name).is_some_and(|value| !value.is_empty())
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
        let hosts: Vec<_> = url.servers().map(|server| (server.host, server.port)).collect();
        assert_eq!(hosts, [(Host::Unix("/a".into()), 1), (Host::Tcp("b".to_owned()), 1)]);
        assert_eq!((config.get_user(), config.get_password()), (Some("u@v"), Some(&b"p&w"[..])));
        assert_eq!(config.get_dbname(), Some("app"));
        assert_eq!(config.get_application_name(), Some("x"));
    }
}
