//! One connection through a door, from its setting up to its end.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use async_io::Timer;
use futures_util::future::try_join;
use tokio::net::TcpStream;
use tokio::select;
use tokio::sync::watch;

use crate::lines::crossing::Crossing;
use crate::lines::line::State;
use crate::lines::way;

/// After which time Linux gives up a connection that nobody answers (`tcp_syn_retries` is 6).
const UNANSWERED: Duration = Duration::from_secs(127);

/// Carries a connection that was accepted in one place to its target in another.
pub(super) async fn carry(mut near: TcpStream, target: SocketAddr, line: watch::Receiver<State>) {
    let mut far = None;
    let carried = between(&mut near, &mut far, target, &line).await;
    if carried.is_err() {
        // Without this they would see an orderly end.
        for end in [Some(near), far].into_iter().flatten() {
            let _ = end.set_zero_linger();
        }
    }
}

async fn between(
    near: &mut TcpStream,
    far: &mut Option<TcpStream>,
    target: SocketAddr,
    line: &watch::Receiver<State>,
) -> io::Result<()> {
    let crossing = || Crossing::of(line.clone());
    let answered = select! {
        answered = connect(target, crossing()) => answered?,
        _ = Timer::after(UNANSWERED) => return Err(ErrorKind::TimedOut.into()),
    };
    let far = far.insert(answered);
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let ((from_near, to_near), (from_far, to_far)) = (near.split(), far.split());
    try_join(way::carry(from_near, to_far, crossing()), way::carry(from_far, to_near, crossing()))
        .await?;
    Ok(())
}

/// Asks the target when the question has arrived there, and returns when its answer has arrived here.
async fn connect(target: SocketAddr, mut crossing: Crossing) -> io::Result<TcpStream> {
    crossing.since(Instant::now()).await;
    let answer = TcpStream::connect(target).await;
    crossing.since(Instant::now()).await;
    answer
}
