//! The connections of this process to one region's database, for reading or for writing.
//!
//! Who owns what:
//!
//! ```text
//! Slots                     POOL_SIZE of them for each server: every connection holds one
//! IoThread                  opens the connections, and drives those left behind
//! Pool                      one for reading and one for writing, for each member of the cluster
//! ├── PipelinedPool         for each runtime: connections that its single reads share
//! │   └── Pipeline          one such connection and the queue of requests without an answer;
//! │                         a read holds a Ticket for its request in the queue
//! └── ExclusivePool         bb8's connections for one caller at a time, for writes, transactions and
//!     └── Checkout          raw SQL: one of them in use
//! ```

mod checkout;
mod exclusive;
mod io_thread;
mod manager;
mod pipeline;
mod pipelined;
mod slots;
mod turns;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;
use tokio::runtime::{self, Handle};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

pub(crate) use self::checkout::Checkout;
use self::exclusive::ExclusivePool;
pub(crate) use self::io_thread::IoThread;
use self::pipeline::Pipeline;
use self::pipelined::PipelinedPool;
pub(crate) use self::slots::Slots;
use self::slots::Usage;
use crate::connection::{
    Connection, Connector, FreshnessChecked, Ping, ReadOutcome, Request, SpillPermit,
};
use crate::error::{DownReason, Error, PoolCounts};
use crate::region::RegionInfo;
use crate::server::{HealthRecord, Requirement};
use crate::settings::{Access, DatabaseUrl, Settings, SettingsError, Timeouts, override_variable};
use crate::timing::CheckoutTimes;

/// A pool of connections to one region's database. Every member of a cluster has one for reading
/// and one for writing; only the primary uses the latter.
///
/// Nothing is opened before the first query. `POOL_SIZE` is the most that this process opens to the
/// server, for reading and writing together, on whatever runtimes and threads; one more is the
/// monitor's. Members whose URLs name the same host and port share it. A connection counts from the
/// moment when it begins to open until the server is done with it, also after its caller has left.
///
/// A single read shares a connection with the other reads of its runtime, pipelined: an Actix worker
/// has its own connections, and the threads of a multi-threaded runtime share theirs. Usually one
/// connection carries all reads. While a slow query stalls it, others are opened, and a read that
/// waits behind the slow query is also sent on one of them. So a read with side effects (a function
/// that notifies, say) may run twice. A runtime that may open none sends its reads on another
/// runtime's. Once begun, the future of a read must be polled until it is done, or dropped: until
/// then it holds up the reads behind it.
///
/// Transactions, writes, raw SQL and reads with an [`sql`](diesel::dsl::sql) fragment, which Diesel
/// prepares anew each time, check out a connection. A caller waits for what any runtime gives back.
/// If reads have taken every slot, an idle connection of theirs is closed for a write, and the other
/// way round. With a `POOL_SIZE` of 1 that happens at each change between the two.
///
/// When a caller drops a read's future, or its time is over, the server is asked to cancel the read.
/// So is a statement within a transaction; any other write may have committed, and is not.
///
/// A connection outlives the runtimes of its users. The runtime that it belongs to, which is that of
/// the last user of an exclusive one, drives it; or a thread of the library where that runtime has
/// ended, or stands still while another one needs the connection.
///
/// Diesel keeps each statement that it has prepared, and a connection with more than 1,000 of them is
/// replaced. A broken connection is not used again, and the next caller opens a new one: a server that
/// comes back is used again without a restart. The sessions of a pool for reading are read-only, at the
/// primary too: what a replica would refuse fails on a single database as well.
pub struct Pool {
    info: &'static RegionInfo,
    shares_connections: bool,
    /// Whether it has no URL, and refuses every request.
    is_off: bool,
    // Boxed: a set of forty regions is moved as a whole.
    connector: Box<Connector>,
    slots: Arc<Slots>,
    io: Arc<IoThread>,
    checkout_times: CheckoutTimes,
    /// The shared connections of each runtime.
    shared: RwLock<Vec<(runtime::Id, Arc<PipelinedPool>)>>,
    exclusive: Box<ExclusivePool>,
    is_warm: AtomicBool,
    is_shut_down: AtomicBool,
}

/// How many connections a pool has at this moment, on all runtimes together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolState {
    /// Connections, in use or not, those included that are being opened, or on which the server
    /// still works for a caller who has left.
    pub connections: u32,
    /// Open connections that are not in use.
    pub idle: u32,
    /// Callers that wait for one.
    pub waiting: u32,
    /// `POOL_SIZE`: the most that this process has to the server, in all pools that lead there.
    pub size: u32,
    /// Prepared statements that the server keeps for these connections. A connection with more than
    /// 1,000 is replaced, as each costs the server some memory.
    pub statements: u32,
}

impl Pool {
    /// A pool for a region's database. Opens no connection. Fails when the settings have no URL for
    /// the region.
    pub(crate) fn new(
        info: &'static RegionInfo,
        access: Access,
        settings: &Settings,
        health: Arc<HealthRecord>,
        slots: Arc<Slots>,
        io: Arc<IoThread>,
    ) -> Result<Self, SettingsError> {
        let connector = Connector {
            name: "archipelago",
            region: info.code,
            url: settings.url_for(info.code, access)?,
            access,
            timeouts: settings.timeouts(),
            health,
            migrations: settings.migrations(),
            connections: TaskTracker::new(),
            pool: Arc::default(),
            last_address: Arc::default(),
        };
        let usage = match access {
            Access::Read => Usage::Reads,
            Access::Write => Usage::Writes,
        };
        let times = CheckoutTimes::new(info.code, access);
        let (of_pool, slots_of_pool, io_of_pool) = (connector.clone(), slots.clone(), io.clone());
        let exclusive =
            ExclusivePool::new(of_pool, usage, slots_of_pool, io_of_pool, times.clone());
        Ok(Self {
            info,
            shares_connections: settings.shares_connections(),
            is_off: settings.is_off(info.code),
            connector: Box::new(connector),
            slots,
            io,
            checkout_times: times,
            shared: RwLock::default(),
            exclusive: Box::new(exclusive),
            is_warm: AtomicBool::new(false),
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
        let usages: &[Usage] = match self.access() {
            Access::Read => &[Usage::SharedReads, Usage::Reads],
            Access::Write => &[Usage::Writes],
        };
        let shared = self.shared.read();
        let shared_and_idle: u32 = shared.iter().map(|(_, shared)| shared.idle()).sum();
        let shared_and_waiting: u32 = shared.iter().map(|(_, shared)| shared.waiting()).sum();
        let connections = usages.iter().map(|usage| self.slots.taken(*usage)).sum();
        PoolState {
            connections,
            // bb8 keeps one that has ended until it is asked for it.
            idle: (shared_and_idle + self.exclusive.idle()).min(connections),
            waiting: shared_and_waiting + self.exclusive.waiting(),
            size: self.slots.size(),
            statements: self.connector.pool.statements(),
        }
    }

    /// What has happened to its connections, but for the monitor's.
    #[must_use]
    pub fn counts(&self) -> PoolCounts {
        self.connector.pool.counts()
    }

    /// Asks the database for an empty answer: one round trip, or the opening of a connection.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn ping(&self) -> Result<(), Error> {
        self.ask(&mut Ping).await
    }

    /// Opens the connection that the first caller needs: for shared reads one of this runtime, else
    /// one for the process.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn warm_up(&self) -> Result<(), Error> {
        let is_for_each_runtime = self.access() == Access::Read && self.shares_connections;
        if is_for_each_runtime || !self.is_warm.swap(true, Ordering::Relaxed) {
            self.ping().await?;
        }
        Ok(())
    }

    /// Takes no more requests, and closes the idle connections. The others close when they come
    /// back.
    pub(crate) fn close(&self) {
        self.is_shut_down.store(true, Ordering::SeqCst);
        self.shared.read().iter().for_each(|(_, shared)| shared.close());
        self.exclusive.close();
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
        self.refuse_if_off()?;
        let is_shared =
            self.shares_connections && self.access() == Access::Read && request.is_prepared_once();
        if is_shared {
            let (runtime, shared) = self.shared()?;
            return shared.ask(request, &|| self.lent_to(runtime)).await;
        }
        let permit = request.spill_permit();
        // Moved: a future that captures `&R` would be `Send` for a `Sync` request only.
        let send = async move |connection: &mut Connection| {
            let answer = request.send(connection);
            answer.await
        };
        // Boxed: it is rarer, and larger.
        Box::pin(async {
            let mut checkout = self.checkout().await?;
            checkout.hold(permit);
            checkout.within_statement_limit(send).await
        })
        .await
    }

    /// Sends one request to a server that must satisfy the requirement of the read. A permit is
    /// held until the server is done.
    pub(crate) async fn read<R: Request>(
        &self,
        request: &mut R,
        requirement: Requirement,
        spill_permit: Option<SpillPermit>,
    ) -> Result<ReadOutcome<R::Output>, Error> {
        self.ask(&mut FreshnessChecked { request, requirement, spill_permit }).await
    }

    /// Opens the monitor's connections. What retires the connections of the pool is not true of
    /// them.
    pub(crate) fn monitor_connector(&self) -> Connector {
        let (name, pool) = ("archipelago monitor", Arc::default());
        Connector { name, pool, ..(*self.connector).clone() }
    }

    /// A connection for one caller alone.
    pub(crate) async fn checkout(&self) -> Result<Checkout, Error> {
        self.refuse_if_off()?;
        self.exclusive.checkout().await
    }

    fn refuse_if_off(&self) -> Result<(), Error> {
        if self.is_off {
            let variable = override_variable(self.info.code);
            return Err(DownReason::Off { variable }.in_region(self.info.code));
        }
        Ok(())
    }

    /// How many requests and callers are without an answer.
    pub(crate) fn outstanding(&self) -> usize {
        let shared: usize = self.shared.read().iter().map(|(_, it)| it.unanswered()).sum();
        let (taken, idle) = (self.slots.taken(Usage::Reads), self.exclusive.idle());
        shared + usize::try_from(taken.saturating_sub(idle)).unwrap_or(usize::MAX)
    }

    /// The shared connections of the current runtime.
    fn shared(&self) -> Result<(runtime::Id, Arc<PipelinedPool>), Error> {
        let runtime = Handle::current().id();
        let find = |all: &[(runtime::Id, Arc<PipelinedPool>)]| {
            all.iter().find(|(id, _)| *id == runtime).map(|(_, shared)| shared.clone())
        };
        let known = find(&self.shared.read());
        let shared = known.unwrap_or_else(|| {
            let mut all = self.shared.write();
            // Those of a runtime that is gone have none, some time later.
            all.retain(|(id, shared)| *id == runtime || !shared.is_empty());
            find(&all).unwrap_or_else(|| {
                let (slots, io) = (self.slots.clone(), self.io.clone());
                let (connector, times) = ((*self.connector).clone(), self.checkout_times.clone());
                let new = PipelinedPool::new(connector, slots, io, times);
                all.push((runtime, Arc::new(new)));
                all[all.len() - 1].1.clone()
            })
        });
        // Checked after it is in the list: either this sees the shutdown, or `close` sees it.
        if self.is_shut_down.load(Ordering::SeqCst) {
            shared.close();
            return Err(Error::ShutDown { region: self.info.code });
        }
        Ok((runtime, shared))
    }

    /// A shared connection of any runtime, for a question of the monitor.
    pub(crate) fn any_shared(&self) -> Option<Arc<Connection>> {
        Some(self.least_busy(|_| true)?.shared())
    }

    /// The least busy connection of another runtime.
    fn lent_to(&self, runtime: runtime::Id) -> Option<Arc<Pipeline>> {
        self.least_busy(|id| id != runtime)
    }

    /// The least busy shared connection of these runtimes.
    fn least_busy(&self, is_wanted: impl Fn(runtime::Id) -> bool) -> Option<Arc<Pipeline>> {
        let shared = self.shared.read();
        let wanted = shared.iter().filter(|(id, _)| is_wanted(*id));
        let lent = wanted.filter_map(|(_, shared)| shared.lend());
        lent.min_by_key(|pipeline| (pipeline.is_late(), pipeline.unanswered()))
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
