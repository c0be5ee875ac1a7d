//! One server's process and data: what a [`Server`](crate::Server) stands on, and what stays the same whoever looks at it.

mod crash;
mod follow;
mod lifecycle;
pub(crate) mod log;
mod reload;
mod roles;
mod run;

pub(crate) use roles::Turn;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::Client;

use crate::process::Process;
use crate::site::Site;
use crate::{LabError, Role, session};

/// For a server to let the lab in, and to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A PostgreSQL server, running or stopped.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) region: String,
    pub(crate) port: u16,
    pub(crate) site: Arc<Site>,
    data: PathBuf,
    /// Whom it follows; a primary follows nobody.
    upstream: Mutex<Option<Upstream>>,
    /// In milliseconds.
    lag: AtomicU64,
    process: Mutex<Option<Process>>,
    /// Held while the server starts or stops, so that two callers do not do both at once.
    changing: tokio::sync::Mutex<()>,
}

/// The primary that a replica follows.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    /// Where the primary stands.
    pub(crate) region: String,
    /// Where it listens; the lab itself asks it there, without taking the line.
    pub(crate) port: u16,
    /// The primary's data.
    pub(crate) data: PathBuf,
}

impl Machine {
    pub(crate) fn role(&self) -> Role {
        if self.upstream().is_some() { Role::Replica } else { Role::Primary }
    }

    pub(crate) fn upstream(&self) -> Option<Upstream> {
        self.upstream.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_upstream(&self, upstream: Option<Upstream>) {
        *self.upstream.lock().unwrap_or_else(PoisonError::into_inner) = upstream;
    }

    /// What its replicas have to know.
    pub(crate) fn as_upstream(&self) -> Upstream {
        Upstream { region: self.region.clone(), port: self.port, data: self.data.clone() }
    }

    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// The file with what the server says.
    pub(crate) fn log(&self) -> PathBuf {
        self.site.place.log(&self.region)
    }

    /// A superuser's session on this server.
    pub(crate) async fn session(&self, doing: &'static str) -> Result<Client, LabError> {
        if !self.is_running() {
            return Err(LabError::NotRunning { region: self.region.clone() });
        }
        if self.is_frozen() {
            return Err(LabError::Frozen { region: self.region.clone() });
        }
        self.within(PATIENCE, doing, session::open(self.port, &self.site.secrets.admin)).await
    }

    /// What a session answers, in bounded time: somebody may hold a lock, or other commands their turn, meanwhile.
    pub(crate) async fn within<T>(
        &self,
        patience: Duration,
        doing: &'static str,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, LabError> {
        timeout(patience, answer)
            .await
            .map_err(|_| self.too_slow(doing, patience))?
            .map_err(self.failed_to(doing))
    }

    /// Its processes are there, and stand still.
    pub(crate) fn is_frozen(&self) -> bool {
        self.process().as_ref().is_some_and(Process::is_frozen)
    }

    pub(crate) fn too_slow(&self, doing: &'static str, waited: Duration) -> LabError {
        LabError::TooSlow { region: self.region.clone(), doing, waited }
    }

    /// For `map_err` on what a session answers.
    pub(crate) fn failed_to(
        &self,
        doing: &'static str,
    ) -> impl Fn(tokio_postgres::Error) -> LabError + '_ {
        move |source| LabError::Database { region: self.region.clone(), doing, source }
    }

    pub(crate) fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
