//! One request for a server's state on behalf of several reads that share a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use diesel::result::DatabaseErrorKind::ClosedConnection;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, WeakShared};
use parking_lot::Mutex;

use super::Connection;
use crate::error::{DownReason, End, Error};
use crate::server::ServerState;

/// In microseconds. On a shorter line, a probe for each read costs more than waiting for a shared
/// one.
const SHORT_LINE: u64 = 5000;

/// How long the role and the timeline of a replica count as known. A new timeline is noticed so
/// much later.
const MAX_AGE: Duration = Duration::from_millis(100);

/// The requests for the state of one connection's server. On a short line one is under way at a
/// time: a single read does not wait, and many reads at once share a few requests.
pub(super) struct SharedProbe {
    /// The fastest answer so far, in microseconds.
    fastest: AtomicU64,
    /// Held by the request that is under way.
    turn: tokio::sync::Mutex<()>,
    /// The next request, which reads may join until it is sent.
    next: Mutex<Option<WeakShared<Probe>>>,
}

type Probe = BoxFuture<'static, Option<ServerState>>;

impl Default for SharedProbe {
    fn default() -> Self {
        Self {
            fastest: AtomicU64::new(u64::MAX),
            turn: tokio::sync::Mutex::new(()),
            next: Mutex::default(),
        }
    }
}

impl SharedProbe {
    /// Joins the next request on `connection`, or begins it. The connection owns this.
    pub(super) async fn ask(&self, connection: Arc<Connection>) -> Result<ServerState, Error> {
        let probe = {
            let mut next = self.next.lock();
            let joined = next.as_ref().and_then(WeakShared::upgrade);
            joined.unwrap_or_else(|| {
                let probe = send_in_turn(connection.clone()).boxed().shared();
                *next = probe.downgrade();
                probe
            })
        };
        probe.await.ok_or_else(|| failed(&connection))
    }
}

/// The failure of a probe that others had sent: as far as the connection tells.
fn failed(connection: &Connection) -> Error {
    if connection.session().end() == End::None {
        let refused = DownReason::refused(&"the server does not tell its state");
        return refused.in_region(connection.region);
    }
    let text = "the connection broke".to_owned();
    let closed = diesel::result::Error::DatabaseError(ClosedConnection, Box::new(text));
    connection.failed(closed, 0)
}

async fn send_in_turn(connection: Arc<Connection>) -> Option<ServerState> {
    let SharedProbe { fastest, turn, next } = &connection.shared_probe;
    let is_short = fastest.load(Ordering::Relaxed) < SHORT_LINE;
    let _turn = if is_short { Some(turn.lock().await) } else { None };
    next.lock().take();
    let asked = Instant::now();
    let state = connection.probe_position(MAX_AGE).await.ok();
    let took = u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX);
    fastest.fetch_min(took, Ordering::Relaxed);
    state
}
