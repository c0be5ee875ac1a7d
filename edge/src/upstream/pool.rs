//! The connections from one place to one instance. One is opened before a request needs it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::{Mutex, MutexGuard};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::body::UpstreamBody;

/// How long a connection may be idle. Actix and Node close theirs after 5 seconds, and a request
/// that is sent just then is lost.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the youngest idle connection may wait before another one is opened. It must be short
/// enough for the new connection's handshake to cross the link before the old one expires.
const RENEW_AFTER: Duration = Duration::from_millis(1500);

/// The connections from one place to one instance.
#[derive(Debug)]
pub(crate) struct ConnectionPool {
    /// The code of the instance's region.
    pub(crate) region: String,
    /// The local address that leads over the link to the instance.
    link: SocketAddr,
    /// The instance's own address.
    instance: SocketAddr,
    idle: Mutex<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    since: Instant,
    connection: SendRequest<UpstreamBody>,
}

impl ConnectionPool {
    pub(crate) fn new(region: String, link: SocketAddr, instance: SocketAddr) -> Self {
        Self { region, link, instance, idle: Mutex::default() }
    }

    /// The oldest idle connection, or a new one.
    ///
    /// # Errors
    /// When the instance accepts no connection.
    pub(crate) async fn checkout(&self) -> io::Result<SendRequest<UpstreamBody>> {
        let ready = {
            let mut idle = self.usable();
            idle.iter().position(|it| it.connection.is_ready()).map(|at| idle.remove(at).connection)
        };
        match ready {
            Some(connection) => Ok(connection),
            None => self.open().await,
        }
    }

    /// Opens a new connection.
    ///
    /// # Errors
    /// When the instance accepts no connection.
    pub(crate) async fn open(&self) -> io::Result<SendRequest<UpstreamBody>> {
        // The link accepts connections even if the instance does not. Fly's proxy knows from health
        // checks which instances are up; this connection is the health check here.
        drop(TcpStream::connect(self.instance).await?);
        let stream = TcpStream::connect(self.link).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        tokio::spawn(connection);
        sender.ready().await.map_err(io::Error::other)?;
        Ok(sender)
    }

    /// Returns a connection to the pool. It is ready again once its response has been read.
    pub(crate) fn check_in(&self, connection: SendRequest<UpstreamBody>) {
        self.usable().push(Idle { since: Instant::now(), connection });
    }

    /// Opens a connection unless a young one is idle.
    pub(crate) async fn keep_warm(&self) {
        let is_young = |it: &Idle| it.since.elapsed() < RENEW_AFTER && it.connection.is_ready();
        if self.usable().iter().any(is_young) {
            return;
        }
        // The next request reports an instance that is down.
        if let Ok(Ok(connection)) = timeout(IDLE_TIMEOUT, self.open()).await {
            self.check_in(connection);
        }
    }

    /// The idle connections, without those that are closed or too old.
    fn usable(&self) -> MutexGuard<'_, Vec<Idle>> {
        let mut idle = self.idle.lock();
        idle.retain(|it| !it.connection.is_closed() && it.since.elapsed() < IDLE_TIMEOUT);
        idle
    }
}
