//! Listens on a local port, and carries each connection over a link to its target.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use async_io::Timer;

use crate::links::connection::{self, Way};
use crate::links::thread::LinkThread;

/// How long a proxy waits after it could not accept a connection, as a rule for want of file
/// descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Starts to carry the connections to this listener, and returns its address.
pub(super) fn open(listener: TcpListener, way: Way, thread: &LinkThread) -> io::Result<SocketAddr> {
    let address = listener.local_addr()?;
    listener.set_nonblocking(true)?;
    let listener = thread.enter(|| tokio::net::TcpListener::from_std(listener))?;
    thread.spawn(accept(listener, way));
    Ok(address)
}

async fn accept(listener: tokio::net::TcpListener, way: Way) {
    loop {
        match listener.accept().await {
            Ok((near, _)) => drop(tokio::spawn(connection::carry(near, way.clone()))),
            Err(error) => {
                tracing::warn!(%error, target = %way.target, "a proxy could not accept a connection");
                Timer::after(PAUSE).await;
            }
        }
    }
}
