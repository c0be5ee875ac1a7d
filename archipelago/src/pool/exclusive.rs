//! Connections for one caller at a time: for writes, transactions and everything else that needs a
//! session.

use std::io;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bb8::{QueueStrategy, RunError};
use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::context::TokioContext;

use super::checkout::Checkout;
use super::io_thread::IoThread;
use super::manager::{CheckedOut, Manager};
use super::slots::{Lender, Slots, Usage};
use super::turns::{Turn, Turns};
use crate::connection::Connector;
use crate::error::{DownReason, Error};
use crate::settings::Timeouts;
use crate::timing::CheckoutTimes;

/// After how long a caller looks for a connection that the next one in turn does not take.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// The connections to check out of one pool, for all runtimes of this process together: a caller
/// waits for what any of them gives back.
pub(super) struct ExclusivePool {
    connector: Connector,
    usage: Usage,
    slots: Arc<Slots>,
    io: Arc<IoThread>,
    stage: Arc<Mutex<Stage>>,
    turns: Arc<Turns>,
    /// Why the last attempt to open a connection failed.
    failure: watch::Sender<Option<DownReason>>,
    checkout_times: CheckoutTimes,
}

/// The stages of a pool's life, in order.
enum Stage {
    Unopened,
    Open(Connections),
    ShutDown,
}

/// bb8's pool. It spawns its attempts to connect on the thread of the library: one on a caller's runtime
/// could end with that, and bb8 would count it as under way for ever.
#[derive(Clone)]
struct Connections {
    pool: bb8::Pool<Manager>,
    runtime: Handle,
}

impl Connections {
    async fn get(&self) -> Result<CheckedOut, RunError<DownReason>> {
        TokioContext::new(self.pool.get_owned(), self.runtime.clone()).await
    }

    fn idle(&self) -> u32 {
        self.pool.state().idle_connections
    }

    /// How many are open, or being opened.
    fn count(&self) -> u32 {
        self.pool.state().connections
    }
}

impl ExclusivePool {
    pub(super) fn new(
        connector: Connector,
        usage: Usage,
        slots: Arc<Slots>,
        io: Arc<IoThread>,
        checkout_times: CheckoutTimes,
    ) -> Self {
        let stage = Arc::new(Mutex::new(Stage::Unopened));
        let lender: Weak<Mutex<Stage>> = Arc::downgrade(&stage);
        slots.add_lender(usage, lender);
        let turns = Turns::new(slots.size());
        let failure = watch::Sender::default();
        Self { connector, usage, slots, io, stage, turns, failure, checkout_times }
    }

    /// How many connections are open and not in use.
    pub(super) fn idle(&self) -> u32 {
        match &*self.stage.lock() {
            Stage::Open(connections) => connections.idle(),
            Stage::Unopened | Stage::ShutDown => 0,
        }
    }

    /// How many callers wait for a connection.
    pub(super) fn waiting(&self) -> u32 {
        self.turns.waiting()
    }

    pub(super) fn close(&self) {
        // The last checkout to end drops the last handle to bb8's pool, and with it every
        // connection.
        *self.stage.lock() = Stage::ShutDown;
    }

    pub(super) async fn checkout(&self) -> Result<Checkout, Error> {
        let Connector { region, timeouts, .. } = self.connector;
        let begun = Instant::now();
        let _wait = self.checkout_times.begin(begun);
        let deadline = begun + timeouts.checkout;
        let (connections, mut failure) = self.opened()?;
        let pooled = tokio::select! {
            biased;
            // Boxed: it is large, and a part of each transaction.
            pooled = timeout_at(deadline, Box::pin(self.in_turn(&connections))) => {
                pooled.unwrap_or(Err(RunError::TimedOut))
            }
            // bb8 would let the caller wait for the whole timeout.
            reason = connecting_failed(&connections, &mut failure) => return Err(reason.in_region(region)),
            waited = self.connector.health.until_silent() => {
                return Err(DownReason::Silent { waited }.in_region(region));
            }
        };
        match pooled {
            // The connection is closed, as it is dropped.
            Ok((pooled, _)) if pooled.leads_elsewhere() => Err(Error::NotPrimary { region }),
            Ok((pooled, turn)) => {
                pooled.connection.move_here();
                Ok(Checkout::new(pooled, turn, self.connector.health.clone(), timeouts))
            }
            Err(RunError::TimedOut) => Err(self.unopened(&connections)),
            Err(RunError::User(reason)) => Err(reason.in_region(region)),
        }
    }

    /// A connection of bb8, in turn. A caller whose turn does not come takes one that is idle all the
    /// same: the next caller's runtime may stand still.
    async fn in_turn(
        &self,
        connections: &Connections,
    ) -> Result<(CheckedOut, Option<Turn>), RunError<DownReason>> {
        let mut turn = pin!(self.turns.take());
        let mut turn = loop {
            match timeout(LOOK_AGAIN, &mut turn).await {
                Ok(turn) => break turn,
                Err(_) if connections.idle() == 0 => {}
                Err(_) => {
                    if let Some(idle) = connections.get().now_or_never() {
                        return Ok((idle?, None));
                    }
                }
            }
        };
        if connections.idle() == 0 {
            turn.enter_bb8();
        }
        let pooled = connections.get().await?;
        turn.leave_bb8();
        Ok((pooled, Some(turn)))
    }

    /// Why a caller got no connection in time.
    fn unopened(&self, connections: &Connections) -> Error {
        let Connector { region, timeouts, .. } = self.connector;
        let waited = timeouts.checkout;
        let reason = match self.failure.borrow().clone() {
            _ if connections.count() > 0 => None,
            None if self.slots.has_free() => Some(DownReason::Silent { waited }),
            failure => failure,
        };
        reason.map_or(Error::Busy { region, waited }, |reason| reason.in_region(region))
    }

    fn opened(&self) -> Result<(Connections, watch::Receiver<Option<DownReason>>), Error> {
        let region = self.connector.region;
        let mut stage = self.stage.lock();
        if matches!(*stage, Stage::Unopened) {
            let built = self.build();
            let built = built.map_err(|error| DownReason::refused(&error).in_region(region))?;
            *stage = Stage::Open(built);
        }
        match &*stage {
            Stage::Open(connections) => Ok((connections.clone(), self.failure.subscribe())),
            Stage::Unopened | Stage::ShutDown => Err(Error::ShutDown { region }),
        }
    }

    fn build(&self) -> io::Result<Connections> {
        // bb8 looks for old connections on the runtime that builds its pool.
        let runtime = self.io.runtime()?;
        let _entered = runtime.enter();
        let Timeouts { checkout, idle, lifetime, .. } = self.connector.timeouts;
        let manager = Manager {
            connector: self.connector.clone(),
            usage: self.usage,
            slots: self.slots.clone(),
            io: self.io.clone(),
            failure: self.failure.clone(),
        };
        let pool = bb8::Pool::builder()
            .max_size(self.slots.size())
            .connection_timeout(checkout)
            .idle_timeout(Some(idle))
            .max_lifetime(Some(lifetime))
            // The pool uses as few connections as it can, and the idle timeout closes the others.
            .queue_strategy(QueueStrategy::Lifo)
            // Each caller makes one attempt, and waits for no pause between the attempts of others.
            .retry_connection(false)
            .build_unchecked(manager);
        Ok(Connections { pool, runtime: runtime.clone() })
    }
}

impl Lender for Mutex<Stage> {
    fn give_up_one(&self, _: bool) -> bool {
        let connections = match &*self.lock() {
            Stage::Open(connections) if connections.idle() > 0 => connections.clone(),
            _ => return false,
        };
        // An idle connection is there at once.
        let Some(Ok(mut idle)) = connections.get().now_or_never() else { return false };
        idle.is_given_up = true;
        true
    }
}

/// Resolves once an attempt to connect fails while the pool has no connection that could come back.
async fn connecting_failed(
    connections: &Connections,
    failure: &mut watch::Receiver<Option<DownReason>>,
) -> DownReason {
    while failure.changed().await.is_ok() {
        if connections.count() == 0
            && let Some(reason) = failure.borrow().clone()
        {
            return reason;
        }
    }
    std::future::pending().await
}
