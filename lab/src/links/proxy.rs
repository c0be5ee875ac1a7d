//! A door: where a connection into another place begins.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use async_io::Timer;
use tokio::sync::watch;

use crate::lines::connection;
use crate::lines::line::State;
use crate::lines::traffic::Traffic;

/// After which a door that could not take a connection (out of file descriptors, as a rule) tries again.
const BREATH: Duration = Duration::from_millis(100);

/// Begins to carry what comes to this listener, and returns its address.
pub(super) fn open(
    listener: TcpListener,
    target: SocketAddr,
    line: watch::Receiver<State>,
    traffic: &Traffic,
) -> io::Result<SocketAddr> {
    let address = listener.local_addr()?;
    listener.set_nonblocking(true)?;
    let listener = traffic.inside(|| tokio::net::TcpListener::from_std(listener))?;
    traffic.spawn(stand(listener, target, line));
    Ok(address)
}

async fn stand(
    listener: tokio::net::TcpListener,
    target: SocketAddr,
    line: watch::Receiver<State>,
) {
    loop {
        match listener.accept().await {
            Ok((near, _)) => drop(tokio::spawn(connection::carry(near, target, line.clone()))),
            Err(error) => {
                tracing::warn!(%error, %target, "a line took no connection");
                Timer::after(BREATH).await;
            }
        }
    }
}
