//! What a world stands on: its servers' processes and data.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Role;
use crate::machine::Machine;
use crate::status::Memory;

/// All servers of a world. The last handle to them stops them.
#[derive(Debug)]
pub(crate) struct Machines {
    /// In the order of the description, the first primary first.
    pub(super) all: Vec<Arc<Machine>>,
    /// Which of them is the primary, or the newest one where there are two.
    primary: AtomicUsize,
    /// Held while one becomes the primary, or a replica of it.
    pub(super) roles: tokio::sync::Mutex<()>,
    pub(super) created: bool,
    memory: Mutex<Memory>,
}

impl Machines {
    pub(crate) fn new(all: Vec<Arc<Machine>>, created: bool) -> Self {
        Self {
            all,
            primary: AtomicUsize::new(0),
            roles: tokio::sync::Mutex::default(),
            created,
            memory: Mutex::default(),
        }
    }

    /// What earlier statuses saw.
    pub(crate) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its place in the order.
    pub(super) fn primary(&self) -> usize {
        self.primary.load(Ordering::Acquire)
    }

    pub(super) fn set_primary(&self, newest: &Machine) {
        let index = self.all.iter().position(|machine| machine.region == newest.region);
        self.primary.store(index.unwrap_or_default(), Ordering::Release);
    }

    /// Undoes what would hold up the end: a primary that stops waits until its replicas have received everything.
    pub(super) fn let_go(&self) {
        for machine in &self.all {
            machine.thaw_now();
            machine.site.lines.heal_all();
        }
    }

    /// Primaries first, so that replicas have received everything.
    pub(super) fn in_order_of_stopping(&self) -> [Vec<&Arc<Machine>>; 2] {
        let (primaries, replicas) =
            self.all.iter().partition(|machine| machine.role() == Role::Primary);
        [primaries, replicas]
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        self.let_go();
        for group in self.in_order_of_stopping() {
            // All at once, then wait for each.
            for machine in &group {
                machine.process().as_mut().map(|process| process.stop(machine.site.at_end()));
            }
            for machine in &group {
                drop(machine.process().take());
            }
        }
    }
}
