//! One connection through a proxy, from its start to its end.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use async_io::Timer;
use futures_util::future::try_join;
use tokio::net::TcpStream;
use tokio::select;
use tokio::sync::watch;

use crate::links::arrival::Arrival;
use crate::links::direction;
use crate::links::link::LinkState;

/// When Linux gives up opening a connection that is not answered (`tcp_syn_retries` is 6).
const UNANSWERED: Duration = Duration::from_secs(127);

/// Carries a connection that was accepted in one place to its target in another.
pub(super) async fn carry(
    mut near: TcpStream,
    target: SocketAddr,
    link: watch::Receiver<LinkState>,
) {
    let mut far = None;
    let carried = between(&mut near, &mut far, target, &link).await;
    if carried.is_err() {
        // Without this both ends would see an orderly end instead of a reset.
        for end in [Some(near), far].into_iter().flatten() {
            let _ = end.set_zero_linger();
        }
    }
}

async fn between(
    near: &mut TcpStream,
    far: &mut Option<TcpStream>,
    target: SocketAddr,
    link: &watch::Receiver<LinkState>,
) -> io::Result<()> {
    let arrival = || Arrival::over(link.clone());
    let connected = select! {
        connected = connect(target, arrival()) => connected?,
        _ = Timer::after(UNANSWERED) => return Err(ErrorKind::TimedOut.into()),
    };
    let far = far.insert(connected);
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let ((from_near, to_near), (from_far, to_far)) = (near.split(), far.split());
    try_join(
        direction::carry(from_near, to_far, arrival()),
        direction::carry(from_far, to_near, arrival()),
    )
    .await?;
    Ok(())
}

/// Connects to the target half a round trip from now, and returns another half after its answer.
async fn connect(target: SocketAddr, mut arrival: Arrival) -> io::Result<TcpStream> {
    arrival.of_what_was_sent_at(Instant::now()).await;
    let answer = TcpStream::connect(target).await;
    arrival.of_what_was_sent_at(Instant::now()).await;
    answer
}
