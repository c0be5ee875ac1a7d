//! Connections for one caller at a time: for writes, transactions and whatever else wants a session for itself.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bb8::{ManageConnection, PooledConnection, RunError};
use diesel_async::pooled_connection::PoolableConnection;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::lock;
use crate::cluster::HealthRecord;
use crate::connect::{ConnectError, Connector};
use crate::connection::Connection;
use crate::freshness::{Need, Unmet};
use crate::state::State;
use crate::{Error, Position, Timeouts};

/// A thread's connections to check out, at most `size`.
pub(super) struct Checkouts {
    connector: Connector,
    size: u32,
    stage: Mutex<Stage>,
    failure: watch::Sender<Option<ConnectError>>,
}

/// It only moves downwards.
enum Stage {
    Unopened,
    Open(bb8::Pool<Manager>),
    ShutDown,
}

impl Checkouts {
    pub(super) fn new(connector: Connector, size: u32) -> Self {
        Self {
            connector,
            size,
            stage: Mutex::new(Stage::Unopened),
            failure: watch::Sender::default(),
        }
    }

    pub(super) fn count(&self) -> (u32, u32) {
        match &*lock(&self.stage) {
            Stage::Open(pool) => (pool.state().connections, pool.state().idle_connections),
            Stage::Unopened | Stage::ShutDown => (0, 0),
        }
    }

    pub(super) fn close(&self) {
        // The last lease to end drops the last handle to the pool, and with it every connection.
        *lock(&self.stage) = Stage::ShutDown;
    }

    pub(super) async fn lease(&self) -> Result<Lease, Error> {
        let Connector { region, timeouts, .. } = self.connector;
        let (pool, mut failure) = self.opened()?;
        let checkout = tokio::select! {
            biased;
            checkout = pool.get_owned() => checkout,
            // bb8 would let the caller wait its whole time.
            error = hopeless(&pool, &mut failure) => return Err(error.of(region)),
            waited = self.connector.health.gone() => return Err(ConnectError::silent(waited).of(region)),
        };
        match checkout {
            // Closed, as it is dropped.
            Ok(pooled) if pooled.connection.is_of_the_past() || pooled.connection.is_foreign() => {
                Err(Error::NotPrimary { region })
            }
            Ok(pooled) => {
                Ok(Lease { pooled, health: self.connector.health.clone(), timeouts, place: None })
            }
            Err(RunError::TimedOut) if pool.state().connections == 0 => {
                Err(ConnectError::silent(timeouts.checkout).of(region))
            }
            Err(RunError::TimedOut) => Err(Error::Busy { region, waited: timeouts.checkout }),
            Err(RunError::User(error)) => Err(error.of(region)),
        }
    }

    fn opened(&self) -> Result<(bb8::Pool<Manager>, watch::Receiver<Option<ConnectError>>), Error> {
        let mut stage = lock(&self.stage);
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
        bb8::Pool::builder()
            .max_size(self.size)
            .connection_timeout(checkout)
            .idle_timeout(Some(idle))
            .max_lifetime(Some(lifetime))
            // Every caller makes an attempt of its own; nobody waits for somebody else's pause.
            .retry_connection(false)
            .build_unchecked(Manager {
                connector: self.connector.clone(),
                failure: self.failure.clone(),
            })
    }
}

/// Resolves once an attempt to connect failed while the pool has no connection that could come back.
async fn hopeless(
    pool: &bb8::Pool<Manager>,
    failure: &mut watch::Receiver<Option<ConnectError>>,
) -> ConnectError {
    while failure.changed().await.is_ok() {
        if pool.state().connections == 0
            && let Some(error) = failure.borrow().clone()
        {
            return error;
        }
    }
    std::future::pending().await
}

/// What bb8 asks for.
struct Manager {
    connector: Connector,
    /// Why the last attempt failed.
    failure: watch::Sender<Option<ConnectError>>,
}

/// A connection that goes in and out of the pool.
struct Pooled {
    connection: Connection,
    /// A statement was sent and its answer has not been seen: true for ever after a timeout or a dropped future, and then the
    /// connection is closed instead of handed to somebody else.
    in_flight: bool,
}

impl ManageConnection for Manager {
    type Connection = Pooled;
    type Error = ConnectError;

    async fn connect(&self) -> Result<Pooled, ConnectError> {
        let outcome = self.connector.open().await;
        if let Err(error) = &outcome {
            self.failure.send_replace(Some(error.clone()));
        }
        outcome.map(|connection| Pooled { connection, in_flight: false })
    }

    /// Asks nothing of the server: a socket that was closed is known to be closed, and a query says the rest.
    async fn is_valid(&self, pooled: &mut Pooled) -> Result<(), ConnectError> {
        if self.has_broken(pooled) {
            Err(ConnectError::new(&"the server closed the connection"))
        } else {
            Ok(())
        }
    }

    fn has_broken(&self, pooled: &mut Pooled) -> bool {
        pooled.in_flight
            || pooled.connection.inner.is_broken()
            || pooled.connection.is_of_the_past()
    }
}

/// A connection in use. It goes back to the pool when dropped, unless an answer is still owed on it.
pub(crate) struct Lease {
    pooled: PooledConnection<'static, Manager>,
    health: Arc<HealthRecord>,
    timeouts: Timeouts,
    /// Among those that may use the primary from elsewhere.
    place: Option<OwnedSemaphorePermit>,
}

impl Lease {
    /// Runs statements that together take no longer than one statement may. The server ends a statement by itself, and the
    /// second more is for a server that is silent.
    pub(crate) async fn statement<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Connection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.within(self.timeouts.answer(), work).await
    }

    /// Runs a transaction from its BEGIN to its end.
    pub(crate) async fn transaction<T, E: From<Error>>(
        &mut self,
        work: impl AsyncFnOnce(&mut Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        self.within(self.timeouts.transaction, work).await
    }

    /// Whether the server stands as a read needs it: asked, unless it has shown so before.
    pub(crate) async fn meets(&mut self, need: Need) -> Result<Result<(), Unmet>, Error> {
        let connection = &self.pooled.connection;
        if connection.meets(need, &connection.state()).is_ok() {
            return Ok(Ok(()));
        }
        let state = self.statement(async |connection| connection.ask_state().await).await?;
        Ok(self.pooled.connection.meets(need, &state))
    }

    /// Takes a place at the primary, until the connection goes back.
    pub(crate) fn keep(&mut self, place: OwnedSemaphorePermit) {
        self.place = Some(place);
    }

    /// Work on it has failed: has the monitor look why.
    pub(crate) fn suspect(&self) {
        self.health.suspect();
    }

    pub(crate) fn region(&self) -> &'static str {
        self.pooled.connection.region
    }

    /// How the server stood when it was last asked on this connection.
    pub(crate) fn state(&self) -> State {
        self.pooled.connection.state()
    }

    /// The position of a commit that is up to `lsn`. Whoever commits is up.
    pub(crate) fn committed(&self, lsn: u64) -> Position {
        self.health.has_written();
        self.position(lsn)
    }

    /// The position that has everything up to `lsn` behind it, on the timeline that the server was last on.
    pub(crate) fn position(&self, lsn: u64) -> Position {
        self.pooled.connection.position(lsn, self.state().timeline)
    }

    /// Runs `work`, at most for so long, and no longer than the server is known to be up.
    async fn within<T, E: From<Error>>(
        &mut self,
        limit: Duration,
        work: impl AsyncFnOnce(&mut Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        let region = self.pooled.connection.region;
        self.pooled.in_flight = true;
        let waited = tokio::select! {
            biased;
            answer = tokio::time::timeout(limit, work(&mut self.pooled.connection)) => match answer {
                Ok(answer) => {
                    self.pooled.in_flight = false;
                    return answer;
                }
                Err(_) => limit,
            },
            waited = self.health.gone() => waited,
        };
        Err(Error::Timeout { region, waited }.into())
    }
}
