//! Connects to a server with several addresses: each has a head start over the next one, so that a dead
//! one costs little.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use tokio::time::timeout;
use tokio_postgres::Config;

use super::socket::{Address, Socket};

/// The "connection attempt delay" that RFC 8305 recommends:
/// <https://www.rfc-editor.org/rfc/rfc8305#section-5>.
const HEAD_START: Duration = Duration::from_millis(250);

/// The address at which a server was last reached: it is tried first.
#[derive(Debug, Default)]
pub(crate) struct LastAddress(Mutex<Option<Address>>);

impl LastAddress {
    pub(super) fn record(&self, address: &Address) {
        *self.0.lock() = Some(address.clone());
    }
}

/// The connections to the addresses of one server that are under way.
pub(super) struct HeadStarts<'a> {
    config: &'a Config,
    waiting: VecDeque<Address>,
    connecting: FuturesUnordered<BoxFuture<'a, io::Result<(Address, Socket)>>>,
}

impl<'a> HeadStarts<'a> {
    pub(super) fn new(mut addresses: Vec<Address>, last: &LastAddress, config: &'a Config) -> Self {
        let last = last.0.lock();
        addresses.sort_by_key(|address| last.as_ref() != Some(address));
        Self { config, waiting: addresses.into(), connecting: FuturesUnordered::new() }
    }

    /// The next connection, or why there is none at one of the addresses. None once all were tried.
    pub(super) async fn next(&mut self) -> Option<io::Result<(Address, Socket)>> {
        loop {
            if let Some(address) = self.waiting.pop_front() {
                let config = self.config;
                self.connecting.push(Box::pin(async move {
                    let socket = Socket::connect(&address, config).await?;
                    Ok((address, socket))
                }));
            }
            if let Ok(connected) = timeout(HEAD_START, self.connecting.next()).await {
                return connected;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use futures_util::FutureExt;
    use tokio::net::{TcpListener, TcpSocket, TcpStream};

    use super::*;

    async fn connected(addresses: &[SocketAddr], last: &LastAddress) -> io::Result<Address> {
        let config = Config::new();
        let addresses = addresses.iter().copied().map(Address::Tcp).collect();
        let mut attempts = HeadStarts::new(addresses, last, &config);
        let connected = attempts.next().await.unwrap();
        connected.map(|(address, _)| address)
    }

    /// An address that takes no connection and refuses none: its queue is full.
    async fn dead() -> (TcpListener, Vec<TcpStream>, SocketAddr) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        while let Ok(stream) = timeout(HEAD_START, TcpStream::connect(address)).await {
            queued.push(stream.unwrap());
        }
        (listener, queued, address)
    }

    #[tokio::test]
    async fn a_dead_address_is_passed_over() {
        let (_one, _full, first) = dead().await;
        let (_other, _full_too, second) = dead().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let live = listener.local_addr().unwrap();
        let (addresses, last) = ([first, second, live], LastAddress::default());
        let reached = connected(&addresses, &last).await.unwrap();
        assert_eq!(reached, Address::Tcp(live));

        // The next connection begins there.
        last.record(&reached);
        let again = timeout(HEAD_START, connected(&addresses, &last))
            .await
            .expect("no head start for the others");
        assert_eq!(again.unwrap(), Address::Tcp(live));
    }

    #[tokio::test]
    async fn each_address_is_tried_once() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let live = listener.local_addr().unwrap();
        let (config, last) = (Config::new(), LastAddress::default());
        let mut attempts = HeadStarts::new([closed, live].map(Address::Tcp).into(), &last, &config);
        assert!(attempts.next().await.unwrap().is_err(), "refused");
        assert!(attempts.next().await.unwrap().is_ok());
        assert!(attempts.next().now_or_never().unwrap().is_none());
    }
}
