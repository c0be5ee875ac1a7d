//! The task that drives a connection. It goes on after the last user has left, until the server has
//! answered what was sent.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_postgres::CancelToken;

use super::SpillPermit;
use super::dial::send_cancel;
use crate::error::{End, SessionRecord};
use crate::server::HealthRecord;
use crate::settings::DatabaseUrl;

/// How long a server may work on what no caller waits for, before it is asked to stop. A request to
/// cancel costs the server a process, as a new connection does.
pub(crate) const WORTH_CANCELLING: Duration = Duration::from_millis(100);

/// Between two requests to cancel the same work.
const AGAIN: Duration = Duration::from_secs(1);

/// The task that drives a connection.
pub(super) struct Driver {
    /// None once it was handed over.
    task: Option<JoinHandle<()>>,
    runtime: Handle,
    canceller: Canceller,
    session: Arc<SessionRecord>,
    health: Arc<HealthRecord>,
    /// How long the server may take for an answer to a read. Its own `statement_timeout` is shorter.
    limit: Duration,
    spill_permit: Option<SpillPermit>,
}

impl Driver {
    /// A driver on the current runtime.
    pub(super) fn new(
        task: JoinHandle<()>,
        canceller: Canceller,
        session: Arc<SessionRecord>,
        health: Arc<HealthRecord>,
        limit: Duration,
    ) -> Self {
        let (task, runtime, spill_permit) = (Some(task), Handle::current(), None);
        Self { task, runtime, canceller, session, health, limit, spill_permit }
    }

    /// Holds the permit until another takes its place, or the server is done.
    pub(super) fn hold(&mut self, permit: Option<SpillPermit>) {
        self.spill_permit = permit;
    }

    pub(super) fn is_finished(&self) -> bool {
        self.task.as_ref().is_none_or(JoinHandle::is_finished)
    }

    pub(super) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    pub(super) fn canceller(&self) -> &Canceller {
        &self.canceller
    }
}

impl Drop for Driver {
    /// tokio-postgres ends a session whose client is gone as soon as everything sent was answered.
    fn drop(&mut self) {
        let Some(task) = self.task.take().filter(|task| !task.is_finished()) else { return };
        let abandoned = Abandoned {
            canceller: self.canceller.clone(),
            session: self.session.clone(),
            health: self.health.clone(),
            limit: self.session.is_read.then_some(self.limit),
            _spill_permit: self.spill_permit.take(),
        };
        self.runtime.spawn(abandoned.end(task));
    }
}

/// A connection without a user.
struct Abandoned {
    canceller: Canceller,
    session: Arc<SessionRecord>,
    health: Arc<HealthRecord>,
    /// How long the server may still work. None where it may be a commit that waits for a standby.
    limit: Option<Duration>,
    _spill_permit: Option<SpillPermit>,
}

impl Abandoned {
    /// Waits until the server is done. Cancels what can be undone: a read, or a statement within a
    /// transaction. Another write may have committed, and wait for a standby.
    async fn end(self, mut task: JoinHandle<()>) {
        let begun = Instant::now();
        let may_cancel = self.session.is_read || self.session.is_in_transaction();
        let mut pause = WORTH_CANCELLING;
        while timeout(pause, &mut task).await.is_err() {
            let is_over = self.limit.is_some_and(|limit| begun.elapsed() > limit);
            if is_over || self.session.end() != End::None {
                task.abort();
                return;
            }
            if may_cancel {
                self.canceller.cancel().await;
            }
            if pause < AGAIN {
                pause = AGAIN;
                self.health.record_abandoned(&self.session);
            }
        }
    }
}

/// Asks a server to cancel what it works on for one connection.
#[derive(Clone)]
pub(crate) struct Canceller {
    token: CancelToken,
    url: DatabaseUrl,
    limit: Duration,
}

impl Canceller {
    /// A request may take `limit`.
    pub(super) fn new(token: CancelToken, url: DatabaseUrl, limit: Duration) -> Self {
        Self { token, url, limit }
    }

    /// Asks once. The server does not tell whether it had something to cancel.
    pub(crate) async fn cancel(&self) {
        match timeout(self.limit, send_cancel(&self.token, &self.url)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a request to cancel was not sent"),
            Err(_) => tracing::debug!("a request to cancel was not sent in time"),
        }
    }
}
