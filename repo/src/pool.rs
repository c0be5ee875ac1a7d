//! The connections to one region's database: opened when first needed, replaced when they break, closed in one go.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use bb8::{PooledConnection, RunError};
use diesel_async::AsyncPgConnection;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::error::Elapsed;
use tokio_util::task::TaskTracker;

use crate::connect::Connector;
use crate::settings::SettingError;
use crate::{DatabaseUrl, Error, RegionInfo, Role, Settings, Timeouts};

/// The pool of one region's repo.
///
/// Nothing is opened before the first query. A connection that broke is not handed out again, and the next caller opens a new
/// one: a server that comes back is used again without a restart. The session of a replica's connection is read-only.
#[derive(Debug)]
pub struct Pool {
    info: &'static RegionInfo,
    url: DatabaseUrl,
    size: u32,
    timeouts: Timeouts,
    runtime: Handle,
    stage: RwLock<Stage>,
    open: TaskTracker,
    failure: watch::Sender<String>,
}

/// A pool's life. It only moves downwards.
#[derive(Clone, Debug)]
enum Stage {
    Unopened,
    Open(bb8::Pool<Connector>),
    ShutDown,
}

/// How many connections a pool has at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolState {
    /// Open connections, in use or not.
    pub connections: u32,
    /// Open connections that nobody uses.
    pub idle: u32,
    /// The most that it may open.
    pub size: u32,
}

impl Pool {
    /// The pool of a region, as `settings` say. Opens no connection.
    ///
    /// # Errors
    /// When the settings were made for other regions and have no URL for this one.
    ///
    /// # Panics
    /// Outside a Tokio runtime: that runtime drives the connections, and must outlive whoever uses them.
    pub fn new(info: &'static RegionInfo, settings: &Settings) -> Result<Self, SettingError> {
        Ok(Self {
            info,
            url: settings.url(info.code)?.clone(),
            size: settings.pool_size(),
            timeouts: settings.timeouts(),
            runtime: Handle::current(),
            stage: RwLock::new(Stage::Unopened),
            open: TaskTracker::new(),
            failure: watch::Sender::default(),
        })
    }

    /// The region as the generated code lists it.
    #[must_use]
    pub fn info(&self) -> &'static RegionInfo {
        self.info
    }

    /// Where its connections lead.
    #[must_use]
    pub fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// How many connections it has. Asks no server.
    #[must_use]
    pub fn state(&self) -> PoolState {
        let counted = match &*self.stage.read().unwrap_or_else(PoisonError::into_inner) {
            Stage::Open(pool) => pool.state(),
            Stage::Unopened | Stage::ShutDown => return PoolState { size: self.size, ..PoolState::default() },
        };
        PoolState { connections: counted.connections, idle: counted.idle_connections, size: self.size }
    }

    /// Whether the database answers: one round trip, or the opening of a connection.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), Error> {
        use diesel_async::RunQueryDsl;

        let mut lease = self.checkout().await?;
        let answer = lease.within_limit(async |connection| diesel::sql_query("SELECT 1").execute(connection).await).await;
        answer.map(drop)
    }

    /// Lets nobody check out any more, waits until every connection has come back and is closed, at most
    /// [`Timeouts::shutdown`].
    pub(crate) async fn shut_down(&self) {
        let before = std::mem::replace(&mut *self.stage.write().unwrap_or_else(PoisonError::into_inner), Stage::ShutDown);
        // The last lease to end drops the last handle to the pool, and with it every connection.
        drop(before);
        self.open.close();
        if tokio::time::timeout(self.timeouts.shutdown, self.open.wait()).await.is_err() {
            tracing::warn!(region = self.info.code, connections = self.open.len(), "queries still run; leaving them");
        }
    }

    pub(crate) async fn checkout(&self) -> Result<Lease, Error> {
        let pool = self.opened()?;
        let mut failure = self.failure.subscribe();
        let unreachable = |reason| Error::Unreachable { region: self.info.code, reason };
        let checkout = tokio::select! {
            checkout = pool.get_owned() => checkout,
            // bb8 would let the caller wait its whole time.
            reason = hopeless(&pool, &mut failure) => return Err(unreachable(reason)),
        };
        match checkout {
            Ok(connection) => Ok(Lease {
                connection,
                region: self.info.code,
                // The server ends a statement by itself; this is for a server that is silent.
                limit: self.timeouts.statement + Duration::from_secs(1),
            }),
            Err(RunError::TimedOut) if pool.state().connections == 0 => {
                Err(unreachable(format!("no answer within {:?}", self.timeouts.checkout)))
            }
            Err(RunError::TimedOut) => Err(Error::Busy { region: self.info.code, waited: self.timeouts.checkout }),
            Err(RunError::User(error)) => Err(unreachable(error.to_string())),
        }
    }

    fn opened(&self) -> Result<bb8::Pool<Connector>, Error> {
        match &*self.stage.read().unwrap_or_else(PoisonError::into_inner) {
            Stage::Open(pool) => return Ok(pool.clone()),
            Stage::ShutDown => return Err(Error::ShutDown { region: self.info.code }),
            Stage::Unopened => {}
        }
        let mut stage = self.stage.write().unwrap_or_else(PoisonError::into_inner);
        match &*stage {
            Stage::Open(pool) => Ok(pool.clone()),
            Stage::ShutDown => Err(Error::ShutDown { region: self.info.code }),
            Stage::Unopened => {
                let pool = self.build();
                *stage = Stage::Open(pool.clone());
                Ok(pool)
            }
        }
    }

    fn build(&self) -> bb8::Pool<Connector> {
        let connector = Connector {
            url: self.url.clone(),
            read_only: self.info.role == Role::Replica,
            timeouts: self.timeouts,
            runtime: self.runtime.clone(),
            open: self.open.clone(),
            failure: self.failure.clone(),
        };
        // bb8 spawns its reaper where the pool is built.
        let _runtime = self.runtime.enter();
        bb8::Pool::builder()
            .max_size(self.size)
            .connection_timeout(self.timeouts.checkout)
            .idle_timeout(Some(self.timeouts.idle))
            .max_lifetime(Some(self.timeouts.lifetime))
            // Every caller makes an attempt of its own; nobody waits for somebody else's pause.
            .retry_connection(false)
            .build_unchecked(connector)
    }
}

/// Resolves once an attempt to connect failed while the pool has no connection that could come back.
async fn hopeless(pool: &bb8::Pool<Connector>, failure: &mut watch::Receiver<String>) -> String {
    while failure.changed().await.is_ok() {
        if pool.state().connections == 0 {
            return failure.borrow().clone();
        }
    }
    std::future::pending().await
}

/// A connection in use. It goes back to the pool when dropped, unless an answer is still owed on it.
pub(crate) struct Lease {
    connection: PooledConnection<'static, Connector>,
    region: &'static str,
    limit: Duration,
}

impl Lease {
    /// Runs statements that together take no longer than one statement may.
    pub(crate) async fn within_limit<T>(
        &mut self,
        statement: impl AsyncFnOnce(&mut AsyncPgConnection) -> diesel::QueryResult<T>,
    ) -> Result<T, Error> {
        let (limit, region) = (self.limit, self.region);
        let answer: Result<_, Elapsed> =
            self.guarded(async |connection| tokio::time::timeout(limit, statement(connection)).await).await;
        match answer {
            Ok(answer) => Ok(answer?),
            Err(_) => {
                self.connection.in_flight = true;
                Err(Error::Timeout { region, waited: limit })
            }
        }
    }

    /// Runs whatever the caller does with the connection, as long as it takes; the server still bounds each statement.
    pub(crate) async fn guarded<T>(&mut self, work: impl AsyncFnOnce(&mut AsyncPgConnection) -> T) -> T {
        self.connection.in_flight = true;
        let outcome = work(&mut self.connection.inner).await;
        self.connection.in_flight = false;
        outcome
    }
}
