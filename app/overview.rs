//! The databases as this instance sees them, as plain data: for `/regions`, and for programs at
//! `/regions.json`, `/regions/changes.json` and `/regions/events`.
//!
//! It queries no database: it shows what the monitor has found, and what reads and writes have counted.

mod changes;
mod down_reason;
mod samples;
mod status;

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Bytes;
use archipelago::{RegionSet, RepoSet};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

pub(crate) use self::changes::ChangeStatus;
pub(crate) use self::samples::{SAMPLE_EVERY, SAMPLES, Sample, Samples};
pub(crate) use self::status::{ReadCounts, RegionStatus, State, coordinates};
use crate::repos::{Repos, leading_region};

/// How many viewers one instance updates at once: each holds one of its connections.
const VIEWERS: usize = 256;

/// Between two updates.
const TICK: Duration = Duration::from_secs(1);

/// What this instance knows of the databases, and has known in the last minutes.
pub(crate) struct Overview {
    repos: Arc<Repos>,
    /// The migrations that a database must have, the oldest first.
    migrations: Vec<String>,
    samples: Mutex<Samples>,
    render: Render,
    updates: watch::Sender<Arc<Update>>,
    viewers: Arc<Semaphore>,
    /// Cancelled when the instance is about to stop.
    stop: CancellationToken,
}

/// One update of `/regions/events`, as the lines that are sent.
#[derive(Default)]
pub(crate) struct Update {
    /// For programs.
    pub(crate) json: Bytes,
    /// The changing part of the page.
    pub(crate) html: Bytes,
}

/// Makes an update.
pub(crate) type Render = fn(&Overview) -> Update;

/// A viewer's permit, and their updates.
pub(crate) struct Viewing {
    _permit: OwnedSemaphorePermit,
    updates: watch::Receiver<Arc<Update>>,
    stop: CancellationToken,
}

impl Overview {
    /// Starts to take samples. Needs a Tokio runtime.
    pub(crate) fn start(repos: Arc<Repos>, migrations: Vec<String>, render: Render) -> Arc<Self> {
        let overview = Arc::new(Self {
            repos,
            migrations,
            samples: Mutex::default(),
            render,
            updates: watch::Sender::default(),
            viewers: Arc::new(Semaphore::new(VIEWERS)),
            stop: CancellationToken::new(),
        });
        tokio::spawn(overview.clone().keep_current());
        overview
    }

    /// Ends every viewer's updates: they come back to another instance.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    async fn keep_current(self: Arc<Self>) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sampled: Option<Instant> = None;
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                now = ticks.tick() => {
                    if sampled.is_none_or(|sampled| now - sampled >= SAMPLE_EVERY) {
                        sampled = Some(now);
                        self.samples.lock().take(&self.regions());
                    }
                    if self.updates.receiver_count() > 0 {
                        self.updates.send_replace(Arc::new(self.update()));
                    }
                }
            }
        }
    }

    /// Every region, in the order of regions.toml.
    pub(crate) fn regions(&self) -> Vec<RegionStatus> {
        let leader = leading_region(&self.repos);
        let first_for_reads = self.repos.replica().served_by().region;
        let status = |member| RegionStatus::new(member, leader, first_for_reads, &self.migrations);
        self.repos.members().map(status).collect()
    }

    /// The last changes, the oldest first.
    pub(crate) fn changes(&self) -> Vec<ChangeStatus> {
        self.repos.cluster().changes().into_iter().map(ChangeStatus::from).collect()
    }

    /// The samples of the last minutes.
    pub(crate) fn samples(&self) -> MutexGuard<'_, Samples> {
        self.samples.lock()
    }

    /// The region of this instance; empty where it has none.
    pub(crate) fn instance(&self) -> &str {
        self.repos.region()
    }

    /// How many reads from elsewhere the primary serves for this instance, and how many it may.
    pub(crate) fn spill(&self) -> (usize, u32) {
        (self.repos.cluster().spilled_reads(), <Repos as RegionSet>::MAX_SPILL)
    }

    /// What a viewer sees now.
    pub(crate) fn update(&self) -> Update {
        (self.render)(self)
    }

    /// A permit and the updates of one more viewer; None where there are too many.
    pub(crate) fn view(&self) -> Option<Viewing> {
        let permit = self.viewers.clone().try_acquire_owned().ok()?;
        let (updates, stop) = (self.updates.subscribe(), self.stop.clone());
        Some(Viewing { _permit: permit, updates, stop })
    }
}

impl Viewing {
    /// The next update; None once this instance is about to stop.
    pub(crate) async fn next(&mut self) -> Option<Arc<Update>> {
        tokio::select! {
            () = self.stop.cancelled() => None,
            changed = self.updates.changed() => {
                changed.ok()?;
                Some(self.updates.borrow_and_update().clone())
            }
        }
    }
}
