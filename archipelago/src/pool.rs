//! The connections to one region's database: each thread that asks has its own, opened when first needed, replaced when they break.

mod checkouts;
mod part;
mod pipeline;
mod shared;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;

use thread_local::ThreadLocal;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

pub(crate) use self::checkouts::Lease;
use self::part::Part;
use crate::cluster::HealthRecord;
use crate::connect::Connector;
use crate::connection::Connection;
use crate::freshness::Need;
use crate::question::{Checked, Ping, Question, Verdict};
use crate::settings::SettingError;
use crate::{DatabaseUrl, Error, RegionInfo, Settings, Timeouts};

/// One pool of a region's repo. A replica's repo has one, for reading; the primary's has another for writing.
///
/// Nothing is opened before the first query. Every thread that asks opens connections of its own, which live on that thread's
/// runtime: an Actix worker never waits for another one's lock, nor wakes another thread. `POOL_SIZE` is divided among the cores
/// of the machine; a thread may open its share, but two at least, to share among its reads, and as many to check out. Where all of
/// them are in use that is `2 × POOL_SIZE`, and a little more where the cores do not divide it.
///
/// A single read shares a connection with the other reads of its thread, pipelined. Usually one connection carries them all. While
/// a slow query holds it up, others are opened, and a read that stands behind it is sent on one of them as well: so a read that
/// does something (a function that notifies, say) may do it twice, and the future of a read that has begun wants to be polled until
/// it is done, or dropped; left lying it holds up its neighbours. Transactions, writes, raw SQL and reads with an
/// [`sql`](diesel::dsl::sql) fragment, which Diesel prepares anew each time, check out a connection for themselves.
///
/// A connection that broke is not used again, and the next caller opens a new one: a server that comes back is used again without
/// a restart. The session of a pool for reading is read-only, at the primary too: what a replica would refuse fails on a single
/// database as well.
pub struct Pool {
    info: &'static RegionInfo,
    size: u32,
    sharing: bool,
    // In boxes, as a set of forty regions is moved about as a whole.
    connector: Box<Connector>,
    threads: Box<ThreadLocal<Mutex<Arc<Part>>>>,
    shut_down: AtomicBool,
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

/// How many connections a pool has at this moment, on all threads together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolState {
    /// Open connections, in use or not.
    pub connections: u32,
    /// Open connections that nobody uses.
    pub idle: u32,
    /// `POOL_SIZE`.
    pub size: u32,
}

impl Pool {
    /// A pool to a region's database, as `settings` say. Opens no connection. Fails when they have no URL for this region.
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
            migration: settings.migration(),
            open: TaskTracker::new(),
        };
        Ok(Self {
            info,
            size: settings.pool_size(),
            sharing: settings.sharing(),
            connector: Box::new(connector),
            threads: Box::default(),
            shut_down: AtomicBool::new(false),
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
        self.threads.iter().fold(
            PoolState { size: self.size, ..PoolState::default() },
            |sum, part| {
                let (connections, idle) = lock(part).count();
                PoolState {
                    connections: sum.connections + connections,
                    idle: sum.idle + idle,
                    ..sum
                }
            },
        )
    }

    /// Whether the database answers: one round trip, or the opening of a connection.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), Error> {
        self.ask(&Mutex::new(Ping)).await
    }

    /// Lets nobody ask any more, and closes the connections that nobody uses. The others close as they come back.
    pub(crate) fn close(&self) {
        self.shut_down.store(true, Ordering::SeqCst);
        self.threads.iter().for_each(|part| lock(part).close());
        self.connector.open.close();
    }

    /// Waits until every connection of a pool that was [closed](Self::close) is gone.
    pub(crate) async fn closed(&self) {
        self.connector.open.wait().await;
    }

    pub(crate) fn timeouts(&self) -> Timeouts {
        self.connector.timeouts
    }

    /// Asks one question: on a connection that is shared with others where this pool reads, else on one of its own.
    pub(crate) async fn ask<Q: Question>(&self, question: &Mutex<Q>) -> Result<Q::Answer, Error> {
        if self.sharing && self.access() == Access::Read && lock(question).is_prepared_once() {
            self.part()?.shared.ask(question).await
        } else {
            let ask = async |connection: &mut Connection| {
                let answer = lock(question).send(connection);
                answer.await
            };
            // Rarer, and larger.
            Box::pin(async { self.checkout().await?.statement(ask).await }).await
        }
    }

    /// Asks one question of a server that stands as the read needs it, and how it stood behind the answer.
    pub(crate) async fn read<Q: Question>(
        &self,
        question: &Mutex<Q>,
        need: Need,
    ) -> Result<Verdict<Q::Answer>, Error> {
        self.ask(&Mutex::new(Checked { question, need })).await
    }

    /// Opens the connections of the monitor.
    pub(crate) fn monitor(&self) -> Connector {
        Connector { name: "archipelago monitor", ..(*self.connector).clone() }
    }

    /// A connection for one caller alone.
    pub(crate) async fn checkout(&self) -> Result<Lease, Error> {
        self.part()?.checkouts.lease().await
    }

    /// What the current thread has of this pool.
    ///
    /// A runtime drives only its own connections, so a thread that changed its runtime starts again.
    fn part(&self) -> Result<Arc<Part>, Error> {
        let runtime = Handle::current().id();
        let new = || Arc::new(Part::new(runtime, &self.connector, self.share()));
        let part = {
            let mut part = lock(self.threads.get_or(|| Mutex::new(new())));
            if part.runtime != runtime {
                *part = new();
            }
            part.clone()
        };
        // After the part is in the list: either this sees that the pool is shut down, or `close` sees the part.
        if self.shut_down.load(Ordering::SeqCst) {
            part.close();
            return Err(Error::ShutDown { region: self.info.code });
        }
        Ok(part)
    }

    /// What one thread may open. Two where more than one is allowed, so that one slow query is not everybody's.
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

/// Locks, whether or not somebody panicked meanwhile: what these locks guard is whole after every statement.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
