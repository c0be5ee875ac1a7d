//! Dials a server: its addresses, TLS, and the stream that records what the server says.
//!
//! tokio-postgres would dial too, but a socket of its own ends with the runtime that opened it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, select};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::lookup_host;
use tokio::time::timeout;
use tokio_postgres::config::{Host, LoadBalanceHosts, SslMode, SslNegotiation};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_postgres::{CancelToken, Client, Config, Connection};
use tokio_util::either::Either as EitherStream;

use super::head_starts::{HeadStarts, LastAddress};
use super::probe::rows;
use super::socket::{Address, Socket};
use super::tap::Tap;
use crate::error::{DownReason, SessionRecord};
use crate::settings::{DatabaseUrl, TargetSession, Timeouts, Tls, UrlServer};

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
    let mut connected = connect(config, url, &server, socket, &session).await;
    if server.mode == SslMode::Prefer && connected.as_ref().is_err_and(refuses_tls) {
        server.mode = SslMode::Disable;
        session = Arc::new(record());
        let socket = Socket::connect(&server.address, config).await;
        let socket = socket.map_err(|error| unreachable(&error, config))?;
        connected = connect(config, url, &server, socket, &session).await;
    }
    let (client, connection) = connected.map_err(|error| match io_cause(&error) {
        Some(cause) if cause.kind() == io::ErrorKind::TimedOut => unreachable(cause, config),
        _ => error.into(),
    })?;
    let mut driver = connection.boxed();
    check_attributes(wanted, &client, &mut driver).await?;
    Ok(Dialed { client, driver, session, server })
}

type Connected = (Client, Connection<Socket, Tap<EitherStream<Encrypted, Socket>>>);

/// TLS is negotiated here, so that the decrypted stream can be read along: to tokio-postgres it looks
/// like `sslmode=require sslnegotiation=direct`.
async fn connect(
    config: &Config,
    url: &DatabaseUrl,
    server: &ServerAddress,
    socket: Socket,
    session: &Arc<SessionRecord>,
) -> Result<Connected, tokio_postgres::Error> {
    let mut direct = config.clone();
    direct.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct);
    direct.connect_raw(socket, Negotiation::new(url, server, session.clone())).await
}

/// Whether a session without TLS may succeed: where the handshake failed, or `pg_hba.conf` has no line
/// for this session.
fn refuses_tls(error: &tokio_postgres::Error) -> bool {
    let cause = std::error::Error::source(error);
    cause.and_then(|cause| cause.downcast_ref::<HandshakeFailed>()).is_some()
        || error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
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
    std::error::Error::source(error).and_then(|cause| cause.downcast_ref())
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
) -> Result<(), Failure> {
    let session = Arc::new(SessionRecord::new(true, &Arc::default()));
    let socket = Socket::connect(&server.address, url.config()).await?;
    Ok(token.cancel_query_raw(socket, Negotiation::new(url, server, session)).await?)
}

type Encrypted = postgres_openssl::TlsStream<Socket>;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// TLS was offered, and the two sides did not agree on it.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct HandshakeFailed(Failure);

/// Makes a [`Tap`] over TLS or over the plain socket, as `sslmode` wants it.
struct Negotiation {
    tls: Tls,
    server: ServerAddress,
    start: SslNegotiation,
    session: Arc<SessionRecord>,
}

impl Negotiation {
    fn new(url: &DatabaseUrl, server: &ServerAddress, session: Arc<SessionRecord>) -> Self {
        let start = url.config().get_ssl_negotiation();
        Self { tls: url.tls().clone(), server: server.clone(), start, session }
    }
}

impl TlsConnect<Socket> for Negotiation {
    type Stream = Tap<EitherStream<Encrypted, Socket>>;
    type Error = Failure;
    type Future = BoxFuture<'static, Result<Self::Stream, Failure>>;

    fn connect(self, mut socket: Socket) -> Self::Future {
        let Self { tls, server: ServerAddress { name, mode, .. }, start, session } = self;
        async move {
            let is_encrypted = match (mode, start) {
                (SslMode::Disable, _) => false,
                (SslMode::Prefer, SslNegotiation::Direct) => {
                    return Err("sslnegotiation=direct needs sslmode=require".into());
                }
                (_, SslNegotiation::Direct) => true,
                _ => offers_tls(&mut socket).await?,
            };
            if is_encrypted {
                let encrypted = tls.connector(&name)?.connect(socket).await;
                let encrypted = encrypted.map_err(HandshakeFailed)?;
                return Ok(Tap::new(EitherStream::Left(encrypted), true, session));
            }
            match mode {
                SslMode::Disable | SslMode::Prefer => {
                    Ok(Tap::new(EitherStream::Right(socket), false, session))
                }
                _ => Err("server does not support TLS".into()),
            }
        }
        .boxed()
    }
}

/// Asks a server for TLS. It answers with one byte.
async fn offers_tls(socket: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<bool> {
    /// `SSLRequest`: <https://www.postgresql.org/docs/current/protocol-message-formats.html>.
    const REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

    socket.write_all(&REQUEST).await?;
    Ok(socket.read_u8().await? == b'S')
}

impl TlsStream for Tap<EitherStream<Encrypted, Socket>> {
    fn channel_binding(&self) -> ChannelBinding {
        match self.stream() {
            EitherStream::Left(encrypted) => encrypted.channel_binding(),
            EitherStream::Right(_) => ChannelBinding::none(),
        }
    }
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
