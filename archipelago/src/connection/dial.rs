//! Dials a server: its addresses, and which of several servers is wanted.
//!
//! tokio-postgres would dial too, but a socket of its own ends with the runtime that opened it.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, select};
use tokio::net::lookup_host;
use tokio::time::timeout;
use tokio_postgres::config::{Host, LoadBalanceHosts, SslMode, SslNegotiation};
use tokio_postgres::error::DbError;
use tokio_postgres::{CancelToken, Client, Config, Connection};

use super::head_starts::{HeadStarts, LastAddress};
use super::negotiation::{HandOver, NegotiationError, Stream, negotiate};
use super::probe::rows;
use super::socket::{Address, Socket};
use crate::error::{DownReason, SessionRecord, with_causes};
use crate::settings::{DatabaseUrl, TargetSession, Timeouts, UrlServer};

/// How long bytes may stay unacknowledged, beyond two round trips, until the kernel closes the
/// connection.
const SILENCE: Duration = Duration::from_secs(1);

/// Drives a connection. Ends with it.
pub(super) type Driver = BoxFuture<'static, Result<(), tokio_postgres::Error>>;

/// A new session.
pub(super) struct Dialed {
    pub(super) client: Client,
    pub(super) driver: Driver,
    pub(super) session: Arc<SessionRecord>,
    pub(super) server: ServerAddress,
}

/// The server of a session.
#[derive(Clone)]
pub(super) struct ServerAddress {
    address: Address,
    /// The name that its certificate must have.
    name: String,
    mode: SslMode,
}

impl ServerAddress {
    fn new(url: &DatabaseUrl, address: Address, name: String) -> Self {
        let mode = match address {
            Address::Tcp(_) => url.config().get_ssl_mode(),
            // PostgreSQL has no TLS there.
            #[cfg(unix)]
            Address::Unix(_) => SslMode::Disable,
        };
        Self { address, name, mode }
    }
}

/// Opens a session of the program `name` with the first of the URL's hosts that takes it. Several
/// hosts share the time of a checkout. The kernel closes the session when bytes stay unacknowledged, or
/// the server reads none, for as long as `silence`.
pub(super) async fn dial(
    url: &DatabaseUrl,
    name: &str,
    timeouts: Timeouts,
    silence: Duration,
    last: &LastAddress,
    record: impl Fn() -> SessionRecord,
) -> Result<Dialed, DownReason> {
    let config = config(url, name, timeouts, silence);
    let attempts = attempts(url);
    let count = u32::try_from(attempts.len()).unwrap_or(u32::MAX).max(1);
    let waited = timeouts.checkout / count;
    let mut failure = DownReason::Unreachable { detail: "the URL names no host".to_owned() };
    for (server, wanted) in attempts {
        let dialing = dial_server(&server, url, (config.clone(), wanted), last, &record);
        let dialed = timeout(waited, dialing).await;
        match dialed.unwrap_or(Err(DownReason::Silent { waited })) {
            Ok(dialed) => return Ok(dialed),
            // Another server would refuse the role as well, and count it as another failure.
            Err(reason) if refuses_role(&reason) => return Err(reason),
            Err(reason) => failure = reason,
        }
    }
    Err(failure)
}

/// Class 28: invalid authorization.
fn refuses_role(reason: &DownReason) -> bool {
    let DownReason::Refused { sqlstate, .. } = reason else { return false };
    sqlstate.as_ref().is_some_and(|code| code.starts_with("28"))
}

/// Opens a session at one of the addresses of a server.
async fn dial_server(
    server: &UrlServer,
    url: &DatabaseUrl,
    (mut config, wanted): (Config, TargetSession),
    last: &LastAddress,
    record: &impl Fn() -> SessionRecord,
) -> Result<Dialed, DownReason> {
    if let Some(password) = url.password(&server.name, server.port).await? {
        config.password(password);
    }
    let addresses = addresses(server, &config).await;
    let addresses = addresses.map_err(|error| unreachable(&error, &config))?;
    let mut failure = DownReason::Unreachable { detail: "the host has no address".to_owned() };
    let mut connections = HeadStarts::new(addresses, last, &config);
    while let Some(connected) = connections.next().await {
        let opened = match connected {
            Ok((address, socket)) => {
                let server = ServerAddress::new(url, address, server.name.clone());
                open((&config, wanted), url, server, socket, record).await
            }
            Err(error) => Err(unreachable(&error, &config)),
        };
        match opened {
            Ok(dialed) => {
                last.record(&dialed.server.address);
                return Ok(dialed);
            }
            Err(reason) if refuses_role(&reason) => return Err(reason),
            Err(reason) => failure = reason,
        }
    }
    Err(failure)
}

/// The servers of a URL in the order in which they are tried, each with the session that is wanted.
fn attempts(url: &DatabaseUrl) -> Vec<(UrlServer, TargetSession)> {
    let mut servers: Vec<_> = url.servers().collect();
    if url.config().get_load_balance_hosts() == LoadBalanceHosts::Random {
        fastrand::shuffle(&mut servers);
    }
    // Each again where none is the preferred one.
    let rounds: &[TargetSession] = match url.target() {
        TargetSession::PreferStandby => &[TargetSession::Standby, TargetSession::Any],
        wanted => &[wanted],
    };
    let round = |wanted: &TargetSession| servers.iter().cloned().zip(std::iter::repeat(*wanted));
    rounds.iter().flat_map(round).collect()
}

/// The addresses of a host, in the order in which they are tried.
async fn addresses(server: &UrlServer, config: &Config) -> io::Result<Vec<Address>> {
    let UrlServer { host, port, .. } = server;
    match host {
        Host::Tcp(host) => {
            let found = lookup_host((host.as_str(), *port)).await?;
            let mut found: Vec<_> = found.map(Address::Tcp).collect();
            if config.get_load_balance_hosts() == LoadBalanceHosts::Random {
                fastrand::shuffle(&mut found);
            }
            Ok(found)
        }
        #[cfg(unix)]
        Host::Unix(folder) => Ok(vec![Address::Unix(folder.join(format!(".s.PGSQL.{port}")))]),
    }
}

/// Opens a session with one server. As libpq, `sslmode=prefer` takes plain text where the server does
/// not take TLS.
async fn open(
    (config, wanted): (&Config, TargetSession),
    url: &DatabaseUrl,
    mut server: ServerAddress,
    socket: Socket,
    record: &impl Fn() -> SessionRecord,
) -> Result<Dialed, DownReason> {
    let mut session = Arc::new(record());
    let connected = match connect(config, url, &server, socket, &session).await {
        Err(first) if server.mode == SslMode::Prefer && first.refuses_tls() => {
            server.mode = SslMode::Disable;
            session = Arc::new(record());
            let socket = Socket::connect(&server.address, config).await;
            let socket = socket.map_err(|error| unreachable(&error, config))?;
            let second = connect(config, url, &server, socket, &session).await;
            second.map_err(|second| second.reason_after(&first, config))
        }
        connected => connected.map_err(|failure| failure.reason(config)),
    };
    let (client, connection) = connected?;
    let mut driver = connection.boxed();
    check_attributes(wanted, &client, &mut driver).await?;
    Ok(Dialed { client, driver, session, server })
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
enum Unconnected {
    #[error(transparent)]
    Negotiation(#[from] NegotiationError),
    #[error("{}", with_causes(.error))]
    Refused { error: tokio_postgres::Error, was_encrypted: bool },
}

impl Unconnected {
    /// Whether a session without TLS may succeed: where the handshake failed, or `pg_hba.conf` has no
    /// line for this one.
    fn refuses_tls(&self) -> bool {
        match self {
            Self::Negotiation(error) => matches!(error, NegotiationError::Handshake(_)),
            Self::Refused { error, was_encrypted } => {
                // `auth_failed` has the same SQLSTATE, of another routine.
                let routine = error.as_db_error().and_then(DbError::routine);
                *was_encrypted && routine == Some("ClientAuthentication")
            }
        }
    }

    fn reason(self, config: &Config) -> DownReason {
        match self {
            Self::Negotiation(NegotiationError::Io(error)) => unreachable(&error, config),
            Self::Negotiation(error) => DownReason::Unreachable { detail: error.to_string() },
            Self::Refused { error, .. } => match io_cause(&error) {
                Some(cause) if cause.kind() == io::ErrorKind::TimedOut => {
                    unreachable(cause, config)
                }
                _ => error.into(),
            },
        }
    }

    /// The reason of an attempt without TLS, behind the `first` one with TLS.
    fn reason_after(self, first: &Self, config: &Config) -> DownReason {
        let detail = format!("{first}; and without TLS: {self}");
        match self.reason(config) {
            // Over TLS the role may be welcome.
            reason if refuses_role(&reason) && matches!(first, Self::Negotiation(_)) => {
                DownReason::Unreachable { detail }
            }
            DownReason::Refused { sqlstate, .. } => DownReason::Refused { sqlstate, detail },
            reason => reason,
        }
    }
}

type Connected = (Client, Connection<Stream, Stream>);

/// TLS is negotiated here, so that the decrypted stream can be read along: to tokio-postgres it looks
/// like `sslmode=require sslnegotiation=direct`.
async fn connect(
    config: &Config,
    url: &DatabaseUrl,
    server: &ServerAddress,
    socket: Socket,
    session: &Arc<SessionRecord>,
) -> Result<Connected, Unconnected> {
    let stream = negotiate(socket, url, &server.name, server.mode, session.clone()).await?;
    let was_encrypted = stream.is_encrypted();
    let mut direct = config.clone();
    direct.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct);
    let connected = direct.connect_raw(stream, HandOver).await;
    connected.map_err(|error| Unconnected::Refused { error, was_encrypted })
}

/// Fails where a URL with `target_session_attrs` wants another server.
async fn check_attributes(
    wanted: TargetSession,
    client: &Client,
    driver: &mut Driver,
) -> Result<(), DownReason> {
    use TargetSession::{Any, PreferStandby, Primary, ReadOnly, ReadWrite, Standby};

    let (question, expected) = match wanted {
        Any | PreferStandby => return Ok(()),
        ReadWrite => ("SHOW transaction_read_only", "off"),
        ReadOnly => ("SHOW transaction_read_only", "on"),
        Primary => ("SELECT pg_catalog.pg_is_in_recovery()", "f"),
        Standby => ("SELECT pg_catalog.pg_is_in_recovery()", "t"),
    };
    let asked = client.simple_query(question).boxed();
    let messages = match select(asked, driver).await {
        Either::Left((answer, _)) => answer?,
        Either::Right((ended, _)) => {
            ended?;
            return Err(DownReason::broken(&"the server closed the connection"));
        }
    };
    if rows(&messages).next().and_then(|row| row.get(0)) == Some(expected) {
        return Ok(());
    }
    let detail = match wanted {
        ReadWrite => "target_session_attrs: the server is read-only",
        ReadOnly => "target_session_attrs: the server takes writes",
        Primary => "target_session_attrs: the server is a standby",
        _ => "target_session_attrs: the server is no standby",
    };
    Err(DownReason::Unreachable { detail: detail.to_owned() })
}

fn io_cause(error: &tokio_postgres::Error) -> Option<&io::Error> {
    error.source().and_then(|cause| cause.downcast_ref())
}

fn unreachable(error: &io::Error, config: &Config) -> DownReason {
    match config.get_connect_timeout() {
        Some(waited) if error.kind() == io::ErrorKind::TimedOut => {
            DownReason::Silent { waited: *waited }
        }
        _ => DownReason::Unreachable { detail: format!("error connecting to server: {error}") },
    }
}

/// How long bytes of a session for reading may stay unacknowledged on a line with this round trip,
/// until the kernel closes the connection.
pub(super) fn read_silence(round_trip: Option<Duration>) -> Duration {
    SILENCE + 2 * round_trip.unwrap_or(SILENCE)
}

/// The URL's own parameters count before ours.
fn config(url: &DatabaseUrl, name: &str, timeouts: Timeouts, silence: Duration) -> Config {
    let mut config = url.config().clone();
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(timeouts.connect);
    }
    if config.get_application_name().is_none() {
        config.application_name(name);
    }
    // Bytes that are not acknowledged tell a vanished connection from a slow statement.
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(silence);
    }
    if !url.has_parameter("keepalives_idle") {
        config.keepalives_idle(Duration::from_secs(15));
    }
    config
}

/// Asks a server to cancel what it works on for the connection of `token`. Waits without a limit.
pub(super) async fn send_cancel(
    token: &CancelToken,
    url: &DatabaseUrl,
    server: &ServerAddress,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let session = Arc::new(SessionRecord::new(true, &Arc::default()));
    let socket = Socket::connect(&server.address, url.config()).await?;
    let stream = negotiate(socket, url, &server.name, server.mode, session).await?;
    Ok(token.cancel_query_raw(stream, HandOver).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_bytes_may_stay_unacknowledged() {
        let ms = Duration::from_millis;
        for (parameters, round_trip, expected) in [
            ("", Some(ms(150)), ms(1300)),
            ("", None, ms(3000)),
            ("?tcp_user_timeout=7000", Some(ms(150)), ms(7000)),
        ] {
            let url = format!("postgres://app@localhost/app{parameters}").parse().unwrap();
            let config = config(&url, "test", Timeouts::default(), read_silence(round_trip));
            assert_eq!(config.get_tcp_user_timeout(), Some(&expected), "{parameters}");
        }
    }
}
