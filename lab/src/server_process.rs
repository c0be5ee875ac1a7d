//! One server's process and data, on which every [`Server`](crate::Server) handle to it stands.

mod clock;
mod config_files;
mod diverge;
mod follow;
mod hand_over;
mod lifecycle;
mod promote;
mod reload;
mod replica_start;
mod role;
mod run;
mod session;
mod signals;
mod timeline;
mod wal_position;

pub use clock::can_set_clocks;
pub(crate) use follow::FollowOutcome;
pub use replica_start::Rejoined;
pub use role::Role;
pub(crate) use wal_position::end_of_record;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::timeout;
use tokio_postgres::Client;

use crate::LabError;
use crate::process::{Process, log};
use crate::world_context::WorldContext;

/// For a server to let the lab in, and to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many round trips pass before a replica streams: the sign-in, the timelines, the request.
const ROUND_TRIPS_TO_STREAM: u32 = 10;

/// What a replica logs when it can never follow this primary again, however long it waits.
const CANNOT_FOLLOW: [&str; 6] = [
    "database system identifier differs",
    "has already been removed",
    "highest timeline",
    "forked off current database system timeline",
    "is ahead of the WAL flush position",
    "is not in this server's history",
];

/// A PostgreSQL server, running or stopped.
#[derive(Debug)]
pub(crate) struct ServerProcess {
    pub(crate) region: String,
    pub(crate) port: u16,
    pub(crate) context: Arc<WorldContext>,
    data: PathBuf,
    /// The primary that it follows; `None` for a primary.
    upstream: Mutex<Option<Upstream>>,
    /// In milliseconds.
    lag: AtomicU64,
    /// By how many seconds its clock is ahead; negative where it is behind.
    clock: AtomicI64,
    process: Mutex<Option<Process>>,
    /// Locked while the server starts, stops or changes, so that two callers do not do so at once.
    changing: tokio::sync::Mutex<()>,
}

/// The primary that a replica follows.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    /// The primary's region.
    pub(crate) region: String,
    /// The primary's port, which the lab itself connects to without a link between.
    pub(crate) port: u16,
    /// The primary's data.
    pub(crate) data: PathBuf,
}

impl ServerProcess {
    pub(crate) fn role(&self) -> Role {
        if self.upstream().is_some() { Role::Replica } else { Role::Primary }
    }

    pub(crate) fn upstream(&self) -> Option<Upstream> {
        self.upstream.lock().clone()
    }

    fn set_upstream(&self, upstream: Option<Upstream>) {
        *self.upstream.lock() = upstream;
    }

    /// This primary, as its replicas have to know it.
    pub(crate) fn as_upstream(&self) -> Upstream {
        Upstream { region: self.region.clone(), port: self.port, data: self.data.clone() }
    }

    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// The file that the server logs to.
    pub(crate) fn log_file(&self) -> PathBuf {
        self.context.dir.log(&self.region)
    }

    /// What the server has logged from this byte on.
    fn logged_since(&self, from: u64) -> String {
        log::since(&self.log_file(), from)
    }

    /// Where the next message will begin in the server's log.
    fn log_length(&self) -> u64 {
        log::length(&self.log_file())
    }

    /// A superuser's session on this server.
    pub(crate) async fn session(&self, doing: &'static str) -> Result<Client, LabError> {
        if !self.is_running() {
            return Err(LabError::NotRunning { region: self.region.clone() });
        }
        if self.is_frozen() {
            return Err(LabError::Frozen { region: self.region.clone() });
        }
        self.within(PATIENCE, doing, session::open(self.port, &self.context.passwords.admin)).await
    }

    /// What a session answers, if it answers in time. A test may hold a lock meanwhile.
    pub(crate) async fn within<T>(
        &self,
        patience: Duration,
        doing: &'static str,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, LabError> {
        timeout(patience, answer)
            .await
            .map_err(|_| self.timed_out(doing, patience))?
            .map_err(self.failed_to(doing))
    }

    /// Whether its processes exist, and are stopped by SIGSTOP.
    pub(crate) fn is_frozen(&self) -> bool {
        self.process().as_ref().is_some_and(Process::is_frozen)
    }

    pub(crate) fn timed_out(&self, doing: &'static str, waited: Duration) -> LabError {
        LabError::TimedOut { region: self.region.clone(), doing, waited }
    }

    /// For `map_err` on what a session answers.
    pub(crate) fn failed_to(
        &self,
        doing: &'static str,
    ) -> impl Fn(tokio_postgres::Error) -> LabError + '_ {
        move |source| LabError::Database { region: self.region.clone(), doing, source }
    }

    pub(crate) fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock()
    }

    /// The round-trip time between this replica and its primary.
    fn round_trip_to(&self, upstream: &Upstream) -> Duration {
        self.context.links.round_trip(&self.region, &upstream.region)
    }

    /// This long, and the round trips until a replica streams from its primary.
    fn patience_for(&self, upstream: &Upstream, patience: Duration) -> Duration {
        let round_trips = self.round_trip_to(upstream).saturating_mul(ROUND_TRIPS_TO_STREAM);
        patience.saturating_add(round_trips)
    }
}
