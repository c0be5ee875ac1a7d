//! What drives a connection, on the runtime of its user. It goes on after the last user has left,
//! until the server has answered what was sent.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::{Mutex, MutexGuard};
use tokio::runtime::{self, Handle};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{Instant, timeout};
use tokio_postgres::CancelToken;

use super::SpillPermit;
use super::dial::{ServerAddress, send_cancel};
use crate::error::{End, SessionRecord};
use crate::server::HealthRecord;
use crate::settings::DatabaseUrl;

/// How long a server may work on what no caller waits for, before it is asked to stop. A request to
/// cancel costs the server a process, as a new connection does.
pub(crate) const WORTH_CANCELLING: Duration = Duration::from_millis(100);

/// Between two requests to cancel the same work.
const AGAIN: Duration = Duration::from_secs(1);

/// Drives a connection: first at home, on the runtime that has opened it, then on the runtime of each
/// user. Where that one ends, or the connection is dropped, the home drives it on.
pub(super) struct Driver {
    driven: Arc<Driven>,
    home: Handle,
    canceller: Canceller,
    session: Arc<SessionRecord>,
    health: Arc<HealthRecord>,
    /// How long the server may take for an answer to a read. Its own `statement_timeout` is shorter.
    limit: Duration,
    spill_permit: Option<SpillPermit>,
}

impl Driver {
    /// A driver whose home is the current runtime.
    pub(super) fn new(
        connection: impl Future<Output = ()> + Send + 'static,
        canceller: Canceller,
        session: Arc<SessionRecord>,
        health: Arc<HealthRecord>,
        limit: Duration,
    ) -> Self {
        let (home, driven) = (Handle::current(), Arc::new(Driven::new(connection)));
        driven.drive_on(&home, None);
        Self { driven, home, canceller, session, health, limit, spill_permit: None }
    }

    /// Holds the permit until another takes its place, or the server is done.
    pub(super) fn hold(&mut self, permit: Option<SpillPermit>) {
        self.spill_permit = permit;
    }

    /// Has the current runtime drive the connection: what it sends and receives wakes no other thread.
    pub(super) fn move_here(&self) {
        let here = Handle::current();
        if !self.driven.is_driven_by(here.id()) {
            self.driven.drive_on(&here, Some(self.home.clone()));
        }
    }

    /// Has its home drive the connection, where the other runtime may stand still. Returns whether
    /// the other one drove it.
    pub(super) fn move_home(&self) -> bool {
        let is_away = !self.driven.is_driven_by(self.home.id());
        if is_away {
            self.driven.drive_on(&self.home, None);
        }
        is_away
    }

    pub(super) fn home(&self) -> &Handle {
        &self.home
    }

    pub(super) fn canceller(&self) -> &Canceller {
        &self.canceller
    }
}

impl Drop for Driver {
    /// tokio-postgres ends a session whose client is gone as soon as everything sent was answered.
    fn drop(&mut self) {
        if self.driven.has_ended() {
            return;
        }
        let abandoned = Abandoned {
            canceller: self.canceller.clone(),
            session: self.session.clone(),
            health: self.health.clone(),
            limit: self.session.is_read.then_some(self.limit),
            _spill_permit: self.spill_permit.take(),
        };
        let task = self.driven.drive_on(&self.home, None);
        self.home.spawn(abandoned.end(task));
    }
}

/// The future that drives a connection, for one task after the other.
struct Driven(Mutex<State>);

struct State {
    /// None once it has ended.
    connection: Option<BoxFuture<'static, ()>>,
    /// The number of the task that drives it. Those before it do nothing any more.
    driving: u64,
    /// The runtime of that task.
    runtime: Option<runtime::Id>,
    task: Option<AbortHandle>,
}

impl Driven {
    fn new(connection: impl Future<Output = ()> + Send + 'static) -> Self {
        let connection = Some(connection.boxed());
        Self(Mutex::new(State { connection, driving: 0, runtime: None, task: None }))
    }

    fn has_ended(&self) -> bool {
        self.0.lock().connection.is_none()
    }

    fn is_driven_by(&self, runtime: runtime::Id) -> bool {
        self.0.lock().runtime == Some(runtime)
    }

    /// A task that drives the connection from now on. Where its runtime ends, `successor` goes on.
    fn drive_on(self: &Arc<Self>, runtime: &Handle, successor: Option<Handle>) -> JoinHandle<()> {
        self.spawn_on(runtime, successor, self.0.lock())
    }

    fn spawn_on(
        self: &Arc<Self>,
        runtime: &Handle,
        successor: Option<Handle>,
        mut state: MutexGuard<'_, State>,
    ) -> JoinHandle<()> {
        state.driving += 1;
        state.runtime = Some(runtime.id());
        let (number, former) = (state.driving, state.task.take());
        // A runtime that has ended drops the task at once, which locks the state.
        drop(state);
        let task = runtime.spawn(Drive { driven: self.clone(), number, successor });
        let mut state = self.0.lock();
        if state.driving == number {
            state.task = Some(task.abort_handle());
        } else {
            task.abort();
        }
        drop(state);
        former.inspect(AbortHandle::abort);
        task
    }
}

/// One task of a driver.
struct Drive {
    driven: Arc<Driven>,
    number: u64,
    successor: Option<Handle>,
}

impl Future for Drive {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.driven.0.lock();
        if state.driving != self.number {
            return Poll::Ready(());
        }
        // Where it panics it is dropped: the connection ends.
        let Some(mut connection) = state.connection.take() else { return Poll::Ready(()) };
        let poll = connection.poll_unpin(context);
        if poll.is_pending() {
            state.connection = Some(connection);
        } else {
            drop(state);
            drop(connection);
        }
        poll
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        let mut state = self.driven.0.lock();
        if state.driving != self.number || state.connection.is_none() {
            return;
        }
        if let Some(successor) = self.successor.take() {
            self.driven.spawn_on(&successor, None, state);
        } else {
            let connection = state.connection.take();
            drop(state);
            drop(connection);
        }
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
                self.session.record_cancel();
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
    server: ServerAddress,
    limit: Duration,
}

impl Canceller {
    /// A request may take `limit`.
    pub(super) fn new(
        token: CancelToken,
        url: DatabaseUrl,
        server: ServerAddress,
        limit: Duration,
    ) -> Self {
        Self { token, url, server, limit }
    }

    /// Asks once. The server does not tell whether it had something to cancel.
    pub(crate) async fn cancel(&self) {
        match timeout(self.limit, send_cancel(&self.token, &self.url, &self.server)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a request to cancel was not sent"),
            Err(_) => tracing::debug!("a request to cancel was not sent in time"),
        }
    }
}
