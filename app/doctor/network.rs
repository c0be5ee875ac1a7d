//! Whether a server's name resolves, and which of its addresses answer at its port.

use std::io;
use std::net::SocketAddr;

use futures_util::future::join_all;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::PATIENCE;

/// What the network says of a server.
#[derive(Debug, Default)]
pub(super) struct Network {
    /// Each address, and why it does not answer.
    pub(super) addresses: Vec<(SocketAddr, Option<String>)>,
    /// Why the name does not resolve.
    pub(super) unresolved: Option<String>,
}

/// Looks a host up, and connects to each of its addresses. None for the folder of a socket.
pub(super) async fn look(host: &str, port: u16) -> Option<Network> {
    if host.starts_with('/') {
        return None;
    }
    let found = within_patience(lookup_host((host, port))).await;
    Some(match found {
        Ok(addresses) => {
            let tried = addresses.map(async |address| {
                let connected = within_patience(TcpStream::connect(address)).await;
                (address, connected.err().map(|error| error.to_string()))
            });
            Network { addresses: join_all(tried).await, unresolved: None }
        }
        Err(error) => Network { addresses: vec![], unresolved: Some(error.to_string()) },
    })
}

async fn within_patience<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let waited = || io::Error::other(format!("no answer within {} s", PATIENCE.as_secs()));
    timeout(PATIENCE, work).await.unwrap_or_else(|_| Err(waited()))
}
