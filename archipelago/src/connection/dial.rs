//! Dials a server: the socket, TLS, and the stream that records what the server says.

use std::io;
#[cfg(unix)]
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_postgres::config::{SslMode, SslNegotiation};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres::{CancelToken, Client, Config, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_util::either::Either;
#[cfg(unix)]
use {tokio::net::UnixStream, tokio_postgres::config::Host, tokio_postgres::tls::NoTls};

use super::tap::Tap;
use crate::error::{DownReason, SessionRecord};
use crate::settings::{DatabaseUrl, Timeouts};

/// How long bytes may stay unacknowledged, beyond two round trips, until the kernel closes the
/// connection.
const SILENCE: Duration = Duration::from_secs(1);

/// Drives a connection. Ends with it.
pub(super) type Driver = BoxFuture<'static, Result<(), tokio_postgres::Error>>;

/// Opens a session of the program `name`. The kernel closes it when bytes stay unacknowledged, or
/// the server reads none, for as long as `silence`.
pub(super) async fn dial(
    url: &DatabaseUrl,
    name: &str,
    timeouts: Timeouts,
    silence: Duration,
    session: Arc<SessionRecord>,
) -> Result<(Client, Driver), DownReason> {
    let mut config = config(url, name, timeouts, silence);
    if let Some(password) = url.password().await? {
        config.password(password);
    }
    let limit = config.get_connect_timeout().copied().unwrap_or(timeouts.connect);
    #[cfg(unix)]
    if let ([Host::Unix(folder)], []) = (config.get_hosts(), config.get_hostaddrs()) {
        return dial_socket(&config, folder, limit, session).await;
    }
    dial_tcp(config, url.tls().connector(), session).await.map_err(|error| {
        if has_timed_out(&error) { DownReason::Silent { waited: limit } } else { error.into() }
    })
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

/// tokio-postgres dials the addresses. TLS is negotiated below, so that the decrypted stream can be
/// read along: to tokio-postgres it looks like `sslmode=require sslnegotiation=direct`.
async fn dial_tcp(
    mut config: Config,
    tls: MakeRustlsConnect,
    session: Arc<SessionRecord>,
) -> Result<(Client, Driver), tokio_postgres::Error> {
    let (mode, negotiation) = (config.get_ssl_mode(), config.get_ssl_negotiation());
    config.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct);
    // Without a name it would refuse TLS.
    if config.get_hosts().is_empty() {
        for address in config.get_hostaddrs().to_vec() {
            config.host(address.to_string());
        }
    }
    let connector = TapConnector { tls, mode, negotiation, session };
    let (client, connection) = config.connect(connector).await?;
    Ok((client, connection.boxed()))
}

/// Opens a session over a Unix socket, where there is no TLS.
#[cfg(unix)]
async fn dial_socket(
    config: &Config,
    folder: &Path,
    limit: Duration,
    session: Arc<SessionRecord>,
) -> Result<(Client, Driver), DownReason> {
    let connected = tokio::time::timeout(limit, connect_socket(config, folder)).await;
    let socket = connected.map_err(|_| DownReason::Silent { waited: limit })?.map_err(|error| {
        DownReason::Unreachable { detail: format!("error connecting to server: {error}") }
    })?;
    let mut config = config.clone();
    config.ssl_mode(SslMode::Disable);
    let (client, connection) = config.connect_raw(Tap::new(socket, false, session), NoTls).await?;
    Ok((client, connection.boxed()))
}

#[cfg(unix)]
async fn connect_socket(config: &Config, folder: &Path) -> io::Result<UnixStream> {
    let port = config.get_ports().first().copied().unwrap_or(5432);
    UnixStream::connect(folder.join(format!(".s.PGSQL.{port}"))).await
}

/// Asks a server to cancel what it works on for the connection of `token`. Waits without a limit.
pub(super) async fn send_cancel(token: &CancelToken, url: &DatabaseUrl) -> Result<(), Failure> {
    let config = url.config();
    #[cfg(unix)]
    if let ([Host::Unix(folder)], []) = (config.get_hosts(), config.get_hostaddrs()) {
        let socket = connect_socket(config, folder).await?;
        return Ok(token.cancel_query_raw(socket, NoTls).await?);
    }
    let (mode, negotiation) = (config.get_ssl_mode(), config.get_ssl_negotiation());
    let session = Arc::new(SessionRecord::new(true, &Arc::default()));
    let connector = TapConnector { tls: url.tls().connector(), mode, negotiation, session };
    Ok(token.cancel_query(connector).await?)
}

fn has_timed_out(error: &tokio_postgres::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref());
    cause.is_some_and(|cause: &io::Error| cause.kind() == io::ErrorKind::TimedOut)
}

type Encrypted = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Makes a [`Tap`] over TLS or over the plain socket, as `sslmode` wants it.
struct TapConnector<T> {
    tls: T,
    mode: SslMode,
    negotiation: SslNegotiation,
    session: Arc<SessionRecord>,
}

impl<T: MakeTlsConnect<Socket>> MakeTlsConnect<Socket> for TapConnector<T>
where
    TapConnector<T::TlsConnect>: TlsConnect<Socket, Stream = Tap<Either<Encrypted, Socket>>>,
{
    type Stream = Tap<Either<Encrypted, Socket>>;
    type TlsConnect = TapConnector<T::TlsConnect>;
    type Error = T::Error;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Self::TlsConnect, T::Error> {
        let (mode, negotiation, session) = (self.mode, self.negotiation, self.session.clone());
        Ok(TapConnector { tls: self.tls.make_tls_connect(domain)?, mode, negotiation, session })
    }
}

impl<T> TlsConnect<Socket> for TapConnector<T>
where
    T: TlsConnect<Socket, Stream = Encrypted, Future: Send> + Send + 'static,
{
    type Stream = Tap<Either<Encrypted, Socket>>;
    type Error = Failure;
    type Future = BoxFuture<'static, Result<Self::Stream, Failure>>;

    fn connect(self, mut socket: Socket) -> Self::Future {
        let Self { tls, mode, negotiation, session } = self;
        async move {
            let is_encrypted = match (mode, negotiation) {
                (SslMode::Disable, _) => false,
                (SslMode::Prefer, SslNegotiation::Direct) => {
                    return Err("sslnegotiation=direct needs sslmode=require".into());
                }
                (_, SslNegotiation::Direct) => true,
                _ => offers_tls(&mut socket).await?,
            };
            if is_encrypted {
                let encrypted = tls.connect(socket).await.map_err(Into::into)?;
                return Ok(Tap::new(Either::Left(encrypted), true, session));
            }
            match mode {
                SslMode::Disable | SslMode::Prefer => {
                    Ok(Tap::new(Either::Right(socket), false, session))
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

impl TlsStream for Tap<Either<Encrypted, Socket>> {
    fn channel_binding(&self) -> ChannelBinding {
        match self.stream() {
            Either::Left(encrypted) => encrypted.channel_binding(),
            Either::Right(_) => ChannelBinding::none(),
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
            ("?tcp_user_timeout=7", Some(ms(150)), ms(7000)),
        ] {
            let url = format!("postgres://app@localhost/app{parameters}").parse().unwrap();
            let config = config(&url, "test", Timeouts::default(), read_silence(round_trip));
            assert_eq!(config.get_tcp_user_timeout(), Some(&expected), "{parameters}");
        }
    }
}
