//! A socket that goes with the runtime that polls it: tokio's own end with the runtime that opened
//! them, and are read only while that one runs.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::{self, Handle};
use tokio::time::timeout;
use tokio_postgres::Config;
#[cfg(unix)]
use {tokio::net::UnixStream, tokio_util::either::Either};

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    Tcp(SocketAddr),
    #[cfg(unix)]
    Unix(PathBuf),
}

/// A connected socket. It can be polled on any runtime: a change costs two system calls.
pub(super) struct Socket {
    /// None after a change that failed.
    stream: Option<Stream>,
    /// The runtime that tells when it is ready.
    runtime: runtime::Id,
}

#[cfg(unix)]
type Stream = Either<TcpStream, UnixStream>;
#[cfg(not(unix))]
type Stream = TcpStream;

impl Socket {
    /// Connects as the parameters of a URL say. Waits no longer than its `connect_timeout`.
    pub(super) async fn connect(address: &Address, config: &Config) -> io::Result<Self> {
        let connecting = connect(address, config);
        let connected = match config.get_connect_timeout() {
            Some(limit) => timeout(*limit, connecting).await?,
            None => connecting.await,
        };
        Ok(Self { stream: Some(connected?), runtime: Handle::current().id() })
    }

    /// The stream, as the current runtime polls it.
    fn stream(&mut self) -> io::Result<Pin<&mut Stream>> {
        let runtime = Handle::current().id();
        if runtime != self.runtime {
            self.stream = self.stream.take().map(registered_here).transpose()?;
            self.runtime = runtime;
        }
        let stream = self.stream.as_mut().map(Pin::new);
        stream.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

async fn connect(address: &Address, config: &Config) -> io::Result<Stream> {
    match address {
        Address::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let socket = SockRef::from(&stream);
            #[cfg(target_os = "linux")]
            socket.set_tcp_user_timeout(config.get_tcp_user_timeout().copied())?;
            if config.get_keepalives() {
                socket.set_tcp_keepalive(&keepalive(config))?;
            }
            #[cfg(unix)]
            return Ok(Either::Left(stream));
            #[cfg(not(unix))]
            Ok(stream)
        }
        #[cfg(unix)]
        Address::Unix(path) => Ok(Either::Right(UnixStream::connect(path).await?)),
    }
}

/// What the system can set of the URL's parameters.
fn keepalive(config: &Config) -> TcpKeepalive {
    let keepalive = TcpKeepalive::new().with_time(config.get_keepalives_idle());
    #[cfg(any(
        target_os = "android",
        target_os = "freebsd",
        target_os = "linux",
        target_os = "macos"
    ))]
    let keepalive = {
        let interval = config.get_keepalives_interval();
        let keepalive = interval.map_or(keepalive.clone(), |every| keepalive.with_interval(every));
        let retries = config.get_keepalives_retries();
        retries.map_or(keepalive.clone(), |count| keepalive.with_retries(count))
    };
    keepalive
}

#[cfg(unix)]
fn registered_here(stream: Stream) -> io::Result<Stream> {
    Ok(match stream {
        Either::Left(tcp) => Either::Left(TcpStream::from_std(tcp.into_std()?)?),
        Either::Right(unix) => Either::Right(UnixStream::from_std(unix.into_std()?)?),
    })
}

#[cfg(not(unix))]
fn registered_here(stream: Stream) -> io::Result<Stream> {
    TcpStream::from_std(stream.into_std()?)
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream()?.poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write_vectored(context, bytes)
    }

    /// As both kinds of streams of tokio do.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(context)
    }
}
