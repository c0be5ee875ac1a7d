//! The connections to one region's database: opened when first needed, replaced when they break, closed in one go.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use bb8::{PooledConnection, RunError};
use diesel_async::AsyncPgConnection;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::connect::Connector;
use crate::settings::SettingError;
use crate::{DatabaseUrl, Error, RegionInfo, Settings, Timeouts};

/// One pool of a region's repo. A replica's repo has one, for reading; the primary's has another for writing.
///
/// Nothing is opened before the first query. A connection that broke is not handed out again, and the next caller opens a new
/// one: a server that comes back is used again without a restart. The session of a pool for reading is
/// read-only, at the primary too: what a replica would refuse fails on a single database as well.
#[derive(Debug)]
pub struct Pool {
    info: &'static RegionInfo,
    access: Access,
    url: DatabaseUrl,
    size: u32,
    timeouts: Timeouts,
    runtime: Handle,
    stage: RwLock<Stage>,
    open: TaskTracker,
    failure: watch::Sender<String>,
}

/// What the sessions of a pool may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Read only.
    Read,
    /// Read and write.
    Write,
}

impl Access {
    /// The word for it, as metrics have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
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
    /// A pool to a region's database, as `settings` say. Opens no connection.
    ///
    /// # Errors
    /// When the settings were made for other regions and have no URL for this one.
    ///
    /// # Panics
    /// Outside a Tokio runtime: that runtime drives the connections, and must outlive whoever uses them.
    pub fn new(info: &'static RegionInfo, access: Access, settings: &Settings) -> Result<Self, SettingError> {
        Ok(Self {
            info,
            access,
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

    /// What its sessions may do.
    #[must_use]
    pub fn access(&self) -> Access {
        self.access
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
        lease.statement(async |connection| Ok(diesel::sql_query("SELECT 1").execute(connection).await.map(drop)?)).await
    }

    /// Lets nobody check out any more, and closes the connections that nobody uses. The others close as they come back.
    pub(crate) fn close(&self) {
        // The last lease to end drops the last handle to the pool, and with it every connection.
        *self.stage.write().unwrap_or_else(PoisonError::into_inner) = Stage::ShutDown;
        self.open.close();
    }

    /// Waits until every connection of a pool that was [closed](Self::close) is gone.
    pub(crate) async fn closed(&self) {
        self.open.wait().await;
    }

    pub(crate) fn timeouts(&self) -> Timeouts {
        self.timeouts
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
            Ok(connection) => Ok(Lease { connection, region: self.info.code, timeouts: self.timeouts }),
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
            access: self.access,
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
    timeouts: Timeouts,
}

impl Lease {
    /// Runs statements that together take no longer than one statement may. The server ends a statement by itself, and the
    /// second more is for a server that is silent.
    pub(crate) async fn statement<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut AsyncPgConnection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.within(self.timeouts.statement + Duration::from_secs(1), work).await
    }

    /// Runs a transaction from its BEGIN to its end.
    pub(crate) async fn transaction<T, E: From<Error>>(
        &mut self,
        work: impl AsyncFnOnce(&mut AsyncPgConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        self.within(self.timeouts.transaction, work).await
    }

    async fn within<T, E: From<Error>>(
        &mut self,
        limit: Duration,
        work: impl AsyncFnOnce(&mut AsyncPgConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        self.connection.in_flight = true;
        let answer = tokio::time::timeout(limit, work(&mut self.connection.inner)).await;
        self.connection.in_flight = answer.is_err();
        answer.unwrap_or_else(|_| Err(Error::Timeout { region: self.region, waited: limit }.into()))
    }
}
