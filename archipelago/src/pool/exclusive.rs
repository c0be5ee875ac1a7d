//! Connections for one caller at a time: for writes, transactions and everything else that needs a
//! session.

use bb8::RunError;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::checkout::Checkout;
use super::manager::Manager;
use crate::connection::Connector;
use crate::error::{DownReason, Error};
use crate::settings::Timeouts;

/// A thread's connections to check out, at most `size`.
pub(super) struct ExclusivePool {
    connector: Connector,
    size: u32,
    stage: Mutex<Stage>,
    /// Why the last attempt to open a connection failed.
    failure: watch::Sender<Option<DownReason>>,
}

/// The stages of a pool's life, in order.
enum Stage {
    Unopened,
    Open(bb8::Pool<Manager>),
    ShutDown,
}

impl ExclusivePool {
    pub(super) fn new(connector: Connector, size: u32) -> Self {
        let stage = Mutex::new(Stage::Unopened);
        Self { connector, size, stage, failure: watch::Sender::default() }
    }

    /// How many connections are open, and how many of them are idle.
    pub(super) fn count(&self) -> (u32, u32) {
        match &*self.stage.lock() {
            Stage::Open(pool) => (pool.state().connections, pool.state().idle_connections),
            Stage::Unopened | Stage::ShutDown => (0, 0),
        }
    }

    pub(super) fn close(&self) {
        // The last checkout to end drops the last handle to bb8's pool, and with it every
        // connection.
        *self.stage.lock() = Stage::ShutDown;
    }

    pub(super) async fn checkout(&self) -> Result<Checkout, Error> {
        let Connector { region, timeouts, .. } = self.connector;
        let (pool, mut failure) = self.opened()?;
        let pooled = tokio::select! {
            biased;
            pooled = pool.get_owned() => pooled,
            // bb8 would let the caller wait for the whole timeout.
            reason = connecting_failed(&pool, &mut failure) => return Err(reason.in_region(region)),
            waited = self.connector.health.until_silent() => {
                return Err(DownReason::Silent { waited }.in_region(region));
            }
        };
        match pooled {
            // The connection is closed, as it is dropped.
            Ok(pooled) if pooled.leads_elsewhere() => Err(Error::NotPrimary { region }),
            Ok(pooled) => Ok(Checkout::new(pooled, self.connector.health.clone(), timeouts)),
            Err(RunError::TimedOut) if pool.state().connections == 0 => {
                let silent = DownReason::Silent { waited: timeouts.checkout };
                Err(self.failure.borrow().clone().unwrap_or(silent).in_region(region))
            }
            Err(RunError::TimedOut) => Err(Error::Busy { region, waited: timeouts.checkout }),
            Err(RunError::User(reason)) => Err(reason.in_region(region)),
        }
    }

    fn opened(&self) -> Result<(bb8::Pool<Manager>, watch::Receiver<Option<DownReason>>), Error> {
        let mut stage = self.stage.lock();
        if matches!(*stage, Stage::Unopened) {
            *stage = Stage::Open(self.build());
        }
        match &*stage {
            Stage::Open(pool) => Ok((pool.clone(), self.failure.subscribe())),
            Stage::Unopened | Stage::ShutDown => {
                Err(Error::ShutDown { region: self.connector.region })
            }
        }
    }

    fn build(&self) -> bb8::Pool<Manager> {
        let Timeouts { checkout, idle, lifetime, .. } = self.connector.timeouts;
        let manager = Manager::new(self.connector.clone(), self.failure.clone());
        bb8::Pool::builder()
            .max_size(self.size)
            .connection_timeout(checkout)
            .idle_timeout(Some(idle))
            .max_lifetime(Some(lifetime))
            // Each caller makes one attempt, and waits for no pause between the attempts of others.
            .retry_connection(false)
            .build_unchecked(manager)
    }
}

/// Resolves once an attempt to connect fails while the pool has no connection that could come back.
async fn connecting_failed(
    pool: &bb8::Pool<Manager>,
    failure: &mut watch::Receiver<Option<DownReason>>,
) -> DownReason {
    while failure.changed().await.is_ok() {
        if pool.state().connections == 0
            && let Some(reason) = failure.borrow().clone()
        {
            return reason;
        }
    }
    std::future::pending().await
}
