//! The processes and the data of all servers of a world.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};

use crate::server_process::{Role, ServerProcess};
use crate::status::PrimaryProgress;

/// All servers of a world. The last handle to them stops them.
#[derive(Debug)]
pub(crate) struct ServerProcesses {
    /// In the order in which the world was described, its first primary first.
    pub(super) all: Vec<Arc<ServerProcess>>,
    /// The index of the primary: of the newest one if there are two.
    primary: AtomicUsize,
    /// Locked while a server becomes the primary, or a replica of it.
    pub(super) roles: tokio::sync::Mutex<()>,
    /// Whether this start made the data.
    pub(super) is_new: bool,
    progress: Mutex<PrimaryProgress>,
}

impl ServerProcesses {
    pub(super) fn new(all: Vec<Arc<ServerProcess>>, is_new: bool) -> Self {
        Self {
            all,
            primary: AtomicUsize::new(0),
            roles: tokio::sync::Mutex::default(),
            is_new,
            progress: Mutex::default(),
        }
    }

    /// What earlier statuses saw of the primary.
    pub(super) fn primary_progress(&self) -> MutexGuard<'_, PrimaryProgress> {
        self.progress.lock()
    }

    /// The index of the primary.
    pub(super) fn primary(&self) -> usize {
        self.primary.load(Ordering::Acquire)
    }

    pub(super) fn set_primary(&self, newest: &ServerProcess) {
        let index = self.all.iter().position(|server| server.region == newest.region);
        self.primary.store(index.unwrap_or_default(), Ordering::Release);
    }

    /// Wakes all servers and heals all links: a primary that stops waits until its replicas have
    /// received everything.
    pub(super) fn undo_what_delays_the_end(&self) {
        for server in &self.all {
            server.thaw_now();
            server.context.links.heal_all();
        }
    }

    /// Primaries first, so that the replicas have received everything.
    pub(super) fn in_order_of_stopping(&self) -> [Vec<&Arc<ServerProcess>>; 2] {
        let (primaries, replicas) =
            self.all.iter().partition(|server| server.role() == Role::Primary);
        [primaries, replicas]
    }
}

impl Drop for ServerProcesses {
    fn drop(&mut self) {
        self.undo_what_delays_the_end();
        for group in self.in_order_of_stopping() {
            // All are told at once, then each is waited for.
            for server in &group {
                server.process().as_mut().map(|it| it.stop(server.context.shutdown_at_end()));
            }
            for server in &group {
                drop(server.process().take());
            }
        }
    }
}
