//! The connections of this process to one region's database, for reading or for writing.
//!
//! Who owns what:
//!
//! ```text
//! Pool                      one for reading and one for writing, for each member of the cluster
//! └── WorkerPool            one for each thread that asks, driven by that thread's runtime
//!     ├── PipelinedPool     connections that single reads share
//!     │   └── Pipeline      one such connection and the queue of requests without an answer;
//!     │                     a read holds a Ticket for its request in the queue
//!     └── ExclusivePool     bb8's connections for one caller at a time, for writes, transactions and
//!         └── Checkout      raw SQL: one of them in use
//! ```

mod checkout;
mod exclusive;
mod manager;
mod pipeline;
mod pipelined;
mod worker;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::available_parallelism;

use parking_lot::Mutex;
use thread_local::ThreadLocal;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

pub(crate) use self::checkout::Checkout;
use self::worker::WorkerPool;
use crate::connection::{Connection, Connector, FreshnessChecked, Ping, ReadOutcome, Request};
use crate::error::Error;
use crate::region::RegionInfo;
use crate::server::{HealthRecord, Requirement};
use crate::settings::{Access, DatabaseUrl, SettingError, Settings, Timeouts};

/// A pool of connections to one region's database. Every member of a cluster has one for reading
/// and one for writing; only the primary uses the latter.
///
/// Nothing is opened before the first query. Every thread that asks opens connections of its own,
/// which live on that thread's runtime: an Actix worker neither waits for a lock of another one nor
/// wakes another thread. `POOL_SIZE` is divided among the cores of the machine. A thread may open
/// its share, at least two, for its reads, and as many again to check out. With all of them in use
/// that is `2 × POOL_SIZE`, and a little more where the cores do not divide it.
///
/// A single read shares a connection with the other reads of its thread, pipelined. Usually one
/// connection carries them all. While a slow query stalls it, others are opened, and a read that
/// waits behind the slow query is also sent on one of them. So a read with side effects (a function
/// that notifies, say) may run twice. Once begun, the future of a read must be polled until it is
/// done, or dropped: until then it holds up the reads behind it. Transactions, writes, raw SQL and
/// reads with an [`sql`](diesel::dsl::sql) fragment, which Diesel prepares anew each time, check
/// out a connection.
///
/// A broken connection is not used again, and the next caller opens a new one: a server that comes
/// back is used again without a restart. The sessions of a pool for reading are read-only, at the
/// primary too: what a replica would refuse fails on a single database as well.
pub struct Pool {
    info: &'static RegionInfo,
    size: u32,
    shares_connections: bool,
    // Boxed: a set of forty regions is moved as a whole.
    connector: Box<Connector>,
    workers: Box<ThreadLocal<Mutex<Arc<WorkerPool>>>>,
    is_shut_down: AtomicBool,
}

/// How many connections a pool has at this moment, on all threads together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolState {
    /// Open connections, in use or not.
    pub connections: u32,
    /// Open connections that are not in use.
    pub idle: u32,
    /// `POOL_SIZE`.
    pub size: u32,
}

impl Pool {
    /// A pool for a region's database. Opens no connection. Fails when the settings have no URL for
    /// the region.
    pub(crate) fn new(
        info: &'static RegionInfo,
        access: Access,
        settings: &Settings,
        health: Arc<HealthRecord>,
    ) -> Result<Self, SettingError> {
        let connector = Connector {
            name: "archipelago",
            region: info.code,
            url: settings.url(info.code)?.clone(),
            access,
            timeouts: settings.timeouts(),
            health,
            migrations: settings.migrations(),
            connections: TaskTracker::new(),
            generation: Arc::default(),
        };
        Ok(Self {
            info,
            size: settings.pool_size(),
            shares_connections: settings.shares_connections(),
            connector: Box::new(connector),
            workers: Box::default(),
            is_shut_down: AtomicBool::new(false),
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
        self.connector.access
    }

    /// Where its connections lead.
    #[must_use]
    pub fn url(&self) -> &DatabaseUrl {
        &self.connector.url
    }

    /// How many connections it has. Asks no server.
    #[must_use]
    pub fn state(&self) -> PoolState {
        let none = PoolState { size: self.size, ..PoolState::default() };
        self.workers.iter().fold(none, |sum, worker| {
            let (connections, idle) = worker.lock().count();
            PoolState { connections: sum.connections + connections, idle: sum.idle + idle, ..sum }
        })
    }

    /// Asks the database for an empty answer: one round trip, or the opening of a connection.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn ping(&self) -> Result<(), Error> {
        self.ask(&mut Ping).await
    }

    /// Takes no more requests, and closes the idle connections. The others close when they come
    /// back.
    pub(crate) fn close(&self) {
        self.is_shut_down.store(true, Ordering::SeqCst);
        self.workers.iter().for_each(|worker| worker.lock().close());
        self.connector.connections.close();
    }

    /// Resolves once every connection of a [closed](Self::close) pool is gone.
    pub(crate) async fn closed(&self) {
        self.connector.connections.wait().await;
    }

    pub(crate) fn timeouts(&self) -> Timeouts {
        self.connector.timeouts
    }

    /// Sends one request: on a shared connection where this pool reads, else on a connection of its
    /// own. What never ran, or met a stale plan, is sent again on a new connection.
    pub(crate) async fn ask<R: Request>(&self, request: &mut R) -> Result<R::Output, Error> {
        let begun = Instant::now();
        let mut answer = self.ask_once(request).await;
        let mut repeats = 0;
        while let Err(error) = &answer
            && repeats < error.next_read(true).repeats
        {
            repeats += 1;
            // Boxed: it is rare.
            let again = Box::pin(self.ask_once(request));
            let waited = self.timeouts().answer();
            let late = Error::Timeout { region: self.info.code, waited };
            answer = timeout_at(begun + waited, again).await.unwrap_or(Err(late));
        }
        answer.map_err(|error| error.in_statement(|| request.sql()))
    }

    async fn ask_once<R: Request>(&self, request: &mut R) -> Result<R::Output, Error> {
        let is_shared =
            self.shares_connections && self.access() == Access::Read && request.is_prepared_once();
        if is_shared {
            return self.worker()?.pipelined.ask(request).await;
        }
        // Moved: a future that captures `&R` would be `Send` for a `Sync` request only.
        let send = async move |connection: &mut Connection| {
            let answer = request.send(connection);
            answer.await
        };
        // Boxed: it is rarer, and larger.
        Box::pin(async { self.checkout().await?.within_statement_limit(send).await }).await
    }

    /// Sends one request to a server that must satisfy the requirement of the read.
    pub(crate) async fn read<R: Request>(
        &self,
        request: &mut R,
        requirement: Requirement,
    ) -> Result<ReadOutcome<R::Output>, Error> {
        self.ask(&mut FreshnessChecked { request, requirement }).await
    }

    /// Opens the monitor's connections. What retires the connections of the pool is not true of
    /// them.
    pub(crate) fn monitor_connector(&self) -> Connector {
        let (name, generation) = ("archipelago monitor", Arc::default());
        Connector { name, generation, ..(*self.connector).clone() }
    }

    /// A connection for one caller alone.
    pub(crate) async fn checkout(&self) -> Result<Checkout, Error> {
        self.worker()?.exclusive.checkout().await
    }

    /// The connections of the current thread.
    ///
    /// A runtime drives only its own connections, so a thread in another runtime starts anew.
    fn worker(&self) -> Result<Arc<WorkerPool>, Error> {
        let runtime = Handle::current().id();
        let new = || Arc::new(WorkerPool::new(runtime, &self.connector, self.share()));
        let worker = {
            let mut worker = self.workers.get_or(|| Mutex::new(new())).lock();
            if worker.runtime != runtime {
                *worker = new();
            }
            worker.clone()
        };
        // Checked after the worker is in the list: either this sees the shutdown, or `close` sees
        // the worker.
        if self.is_shut_down.load(Ordering::SeqCst) {
            worker.close();
            return Err(Error::ShutDown { region: self.info.code });
        }
        Ok(worker)
    }

    /// How many connections one thread may open to share, and as many to check out. At least two
    /// where more than one is allowed, so that one slow query does not stall every read of the
    /// thread.
    fn share(&self) -> u32 {
        let cores = available_parallelism()
            .map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX));
        self.size.div_ceil(cores).max(self.size.min(2))
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { info, connector, .. } = self;
        f.debug_struct("Pool")
            .field("region", &info.code)
            .field("access", &connector.access)
            .field("url", &connector.url)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
