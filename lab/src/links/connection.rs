//! One connection through a proxy, from its start to its end.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use async_io::Timer;
use futures_util::future::{join, try_join};
use tokio::io::{copy, sink};
use tokio::net::TcpStream;
use tokio::select;
use tokio::sync::watch;

use crate::links::arrival::Arrival;
use crate::links::direction;
use crate::links::link::LinkState;
use crate::links::open_connections::{ConnectionKey, OpenConnections};

/// When Linux gives up opening a connection that is not answered (`tcp_syn_retries` is 6).
const UNANSWERED: Duration = Duration::from_secs(127);

/// Where the connections of a proxy lead.
#[derive(Debug, Clone)]
pub(super) struct Way {
    pub(super) from: String,
    pub(super) target: SocketAddr,
    pub(super) link: watch::Receiver<LinkState>,
    pub(super) open: OpenConnections,
}

/// Carries a connection that was accepted in one place to its target in another.
pub(super) async fn carry(mut near: TcpStream, way: Way) {
    let mut far = None;
    let carried = between(&mut near, &mut far, way).await;
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
    Way { from, target, link, open }: Way,
) -> io::Result<()> {
    let arrival = || Arrival::over(link.clone());
    let connected = select! {
        connected = connect(target, arrival()) => connected?,
        _ = Timer::after(UNANSWERED) => return Err(ErrorKind::TimedOut.into()),
    };
    let far = far.insert(connected);
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let key = ConnectionKey { from, at_target: far.local_addr()?, target };
    let vanished = open.add(key.clone());
    let carrying = async {
        let ((from_near, to_near), (from_far, to_far)) = (near.split(), far.split());
        try_join(
            direction::carry(from_near, to_far, arrival()),
            direction::carry(from_far, to_near, arrival()),
        )
        .await
    };
    select! {
        carried = carrying => {
            open.remove(&key);
            carried.map(drop)
        }
        Ok(()) = vanished => {
            // What either end sends is lost, also its end.
            let _ = join(copy(near, &mut sink()), copy(far, &mut sink())).await;
            Ok(())
        }
    }
}

/// Connects to the target half a round trip from now, and returns another half after its answer.
async fn connect(target: SocketAddr, mut arrival: Arrival) -> io::Result<TcpStream> {
    arrival.of_what_was_sent_at(Instant::now()).await;
    let answer = TcpStream::connect(target).await;
    arrival.of_what_was_sent_at(Instant::now()).await;
    answer
}
