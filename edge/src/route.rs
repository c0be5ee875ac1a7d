//! The way from a place to an instance: its connections, some of them open before anybody needs them.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::upload::Sent;

/// An idle connection is used for so long. Actix and Node close theirs after 5 seconds, and a request that crosses with the end
/// of its connection is lost.
const FRESH: Duration = Duration::from_secs(3);

/// From this age on a connection gets a successor, so that there is always one whose handshake has crossed the line already.
const SUCCEEDED: Duration = Duration::from_millis(1500);

/// The connections from one place to one instance.
#[derive(Debug)]
pub(crate) struct Route {
    /// The code of the instance's region.
    pub(crate) region: String,
    /// Where it leads out of the place, on the line to the instance.
    pub(crate) door: SocketAddr,
    /// Where the instance listens.
    pub(crate) instance: SocketAddr,
    idle: Mutex<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    since: Instant,
    connection: SendRequest<Sent>,
}

impl Route {
    pub(crate) fn new(region: String, door: SocketAddr, instance: SocketAddr) -> Self {
        Self { region, door, instance, idle: Mutex::default() }
    }

    /// A connection that waits for a request, the oldest first; or a new one.
    ///
    /// # Errors
    /// When the instance takes no connections.
    pub(crate) async fn connect(&self) -> io::Result<SendRequest<Sent>> {
        let waiting = {
            let mut idle = self.idle();
            idle.iter().position(|it| it.connection.is_ready()).map(|at| idle.remove(at).connection)
        };
        match waiting {
            Some(connection) => Ok(connection),
            None => self.open().await,
        }
    }

    /// A new connection.
    ///
    /// # Errors
    /// When the instance takes no connections.
    pub(crate) async fn open(&self) -> io::Result<SendRequest<Sent>> {
        // The line's own door is open even where nobody listens at its other end. Fly's proxy knows from its health checks which
        // instances are up; so does this one.
        drop(TcpStream::connect(self.instance).await?);
        let stream = TcpStream::connect(self.door).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        tokio::spawn(connection);
        sender.ready().await.map_err(io::Error::other)?;
        Ok(sender)
    }

    /// Takes a connection back, for others once its answer is through.
    pub(crate) fn keep(&self, connection: SendRequest<Sent>) {
        self.idle().push(Idle { since: Instant::now(), connection });
    }

    /// Sees to it that a connection is open that has not waited long.
    pub(crate) async fn warm(&self) {
        let is_young = |it: &Idle| it.since.elapsed() < SUCCEEDED && it.connection.is_ready();
        if self.idle().iter().any(is_young) {
            return;
        }
        // An instance that is down is found out by whoever wants it.
        if let Ok(Ok(connection)) = timeout(FRESH, self.open()).await {
            self.keep(connection);
        }
    }

    /// The connections that may still be used.
    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|it| !it.connection.is_closed() && it.since.elapsed() < FRESH);
        idle
    }
}
