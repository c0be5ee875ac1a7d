//! How many connections this process has to one server: never more than `POOL_SIZE`.
//!
//! A connection holds a [`Slot`] from the moment when it begins to open until the server is done
//! with it. The pools of a server share its slots: while one of them has no connection and none is
//! free, another one closes a connection that it can do without.

use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

/// Between two looks of a waiting caller for a connection that has become idle meanwhile. The pause
/// grows to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// How long a caller waits for the connection that closes for it. A caller that has waited for longer
/// may have got its slot.
const CLOSES_WITHIN: Duration = Duration::from_millis(250);

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Usage {
    /// Single reads share it.
    SharedReads,
    /// Snapshots and raw reads, one at a time.
    Reads,
    /// Writes, one at a time.
    Writes,
}

impl Usage {
    const ALL: [Self; 3] = [Self::SharedReads, Self::Reads, Self::Writes];
}

/// The connections that one process may have to one server.
pub(crate) struct Slots {
    size: u32,
    free: Arc<Semaphore>,
    /// How many each usage has.
    taken: [AtomicU32; 3],
    /// How many callers of each usage wait for a slot, and for how many of them a connection closes.
    waiting: [AtomicU32; 3],
    lent: [AtomicU32; 3],
    lenders: Mutex<Vec<(Usage, Weak<dyn Lender>)>>,
    /// Notified once another shared connection is open.
    pub(super) opened: Notify,
}

/// Connections of one usage that can make room for another one.
pub(super) trait Lender: Send + Sync {
    /// Begins to close an idle connection, or else, `even_busy`, the least busy one after what it
    /// works on. False where there is none.
    fn give_up_one(&self, even_busy: bool) -> bool;
}

impl Slots {
    pub(crate) fn new(size: u32) -> Arc<Self> {
        Arc::new(Self {
            size,
            free: Arc::new(Semaphore::new(usize::try_from(size).unwrap_or(Semaphore::MAX_PERMITS))),
            taken: Default::default(),
            waiting: Default::default(),
            lent: Default::default(),
            lenders: Mutex::default(),
            opened: Notify::new(),
        })
    }

    pub(super) fn size(&self) -> u32 {
        self.size
    }

    pub(super) fn has_free(&self) -> bool {
        self.free.available_permits() > 0
    }

    /// How many connections of this usage there are.
    pub(super) fn taken(&self, usage: Usage) -> u32 {
        self.taken[usage as usize].load(Ordering::Relaxed)
    }

    /// Adds connections that can make room for another usage.
    pub(super) fn add_lender(&self, usage: Usage, lender: Weak<dyn Lender>) {
        let mut lenders = self.lenders.lock();
        lenders.retain(|(_, lender)| lender.strong_count() > 0);
        lenders.push((usage, lender));
    }

    /// A free slot, if there is one.
    pub(super) fn try_take(self: &Arc<Self>, usage: Usage) -> Option<Slot> {
        let permit = self.free.clone().try_acquire_owned().ok()?;
        Some(Slot::new(self, usage, permit))
    }

    /// Waits for a slot. Waits without a limit.
    pub(super) async fn take(self: &Arc<Self>, usage: Usage) -> Slot {
        if let Some(slot) = self.try_take(usage) {
            return slot;
        }
        let mut waiting = Waiting::new(self, usage);
        let mut free = pin!(self.free.clone().acquire_owned());
        let mut pause = SHORTEST_PAUSE;
        loop {
            waiting.make_room();
            match timeout(pause, &mut free).await {
                Ok(Ok(permit)) => return Slot::new(self, usage, permit),
                // Nothing closes the semaphore.
                Ok(Err(_)) => std::future::pending().await,
                Err(_) => pause = LONGEST_PAUSE.min(pause * 2),
            }
        }
    }

    /// Whether a connection of this usage is to be closed, once it is idle, for another usage that
    /// waits and has none.
    pub(super) fn is_claimed_from(&self, usage: Usage) -> bool {
        let is_starving = |other: &Usage| {
            let waiting = self.waiting[*other as usize].load(Ordering::Relaxed);
            *other != usage && waiting > 0 && self.taken(*other) == 0
        };
        Usage::ALL.iter().any(is_starving)
    }

    /// Has another usage close a connection: one beyond its first, unless `usage` has none at all.
    /// Returns whether one did.
    fn make_room(&self, usage: Usage) -> bool {
        let lent = self.lent[usage as usize].load(Ordering::Relaxed);
        let has_none = self.taken(usage) + lent == 0;
        let mut others = Usage::ALL.map(|other| (self.taken(other), other));
        others.sort_by_key(|(taken, _)| std::cmp::Reverse(*taken));
        let least = if has_none { 1 } else { 2 };
        let others = others.iter().filter(|(taken, other)| *taken >= least && *other != usage);
        let lenders: Vec<_> = others.flat_map(|(_, other)| self.lenders_of(*other)).collect();
        lenders.iter().any(|lender| lender.give_up_one(false))
            || has_none && lenders.iter().any(|lender| lender.give_up_one(true))
    }

    fn lenders_of(&self, usage: Usage) -> Vec<Arc<dyn Lender>> {
        let lenders = self.lenders.lock();
        let lenders = lenders.iter().filter(|(of, _)| *of == usage);
        lenders.filter_map(|(_, lender)| lender.upgrade()).collect()
    }
}

/// The right to one connection. Dropped with the task that drives it.
pub(crate) struct Slot {
    slots: Arc<Slots>,
    usage: Usage,
    _permit: OwnedSemaphorePermit,
}

impl Slot {
    fn new(slots: &Arc<Slots>, usage: Usage, permit: OwnedSemaphorePermit) -> Self {
        slots.taken[usage as usize].fetch_add(1, Ordering::Relaxed);
        Self { slots: slots.clone(), usage, _permit: permit }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.taken[self.usage as usize].fetch_sub(1, Ordering::Relaxed);
    }
}

/// A caller that waits for a slot.
struct Waiting<'a> {
    slots: &'a Slots,
    usage: Usage,
    /// When a connection was last told to close for it.
    lent: Option<Instant>,
}

impl<'a> Waiting<'a> {
    fn new(slots: &'a Slots, usage: Usage) -> Self {
        slots.waiting[usage as usize].fetch_add(1, Ordering::Relaxed);
        Self { slots, usage, lent: None }
    }

    fn make_room(&mut self) {
        if self.lent.is_some_and(|lent| lent.elapsed() < CLOSES_WITHIN) {
            return;
        }
        self.forget_lent();
        if self.slots.make_room(self.usage) {
            self.lent = Some(Instant::now());
            self.slots.lent[self.usage as usize].fetch_add(1, Ordering::Relaxed);
        }
    }

    fn forget_lent(&mut self) {
        if self.lent.take().is_some() {
            self.slots.lent[self.usage as usize].fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.slots.waiting[self.usage as usize].fetch_sub(1, Ordering::Relaxed);
        self.forget_lent();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// Gives up one of the slots that it holds.
    #[derive(Default)]
    struct Idle(Mutex<Vec<Slot>>);

    impl Lender for Idle {
        fn give_up_one(&self, _: bool) -> bool {
            self.0.lock().pop().is_some()
        }
    }

    fn idle(slots: &Arc<Slots>, usage: Usage, count: usize) -> Arc<Idle> {
        let idle = Arc::new(Idle::default());
        idle.0.lock().extend((0..count).map(|_| slots.try_take(usage).unwrap()));
        let lender: Arc<dyn Lender> = idle.clone();
        slots.add_lender(usage, Arc::downgrade(&lender));
        idle
    }

    #[test]
    fn there_are_never_more_connections_than_slots() {
        let slots = Slots::new(2);
        let first = slots.try_take(Usage::SharedReads).unwrap();
        let _second = slots.try_take(Usage::Writes).unwrap();
        assert!(slots.try_take(Usage::Reads).is_none() && !slots.has_free());
        drop(first);
        assert_eq!((slots.taken(Usage::SharedReads), slots.taken(Usage::Writes)), (0, 1));
        assert!(slots.try_take(Usage::Reads).is_some());
    }

    #[tokio::test]
    async fn an_idle_connection_makes_room_for_another_usage() {
        let slots = Slots::new(2);
        let reads = idle(&slots, Usage::SharedReads, 2);
        assert!(slots.take(Usage::Writes).now_or_never().is_some());
        assert_eq!(reads.0.lock().len(), 1);
    }

    #[tokio::test]
    async fn the_last_connection_goes_only_to_a_usage_without_any() {
        let slots = Slots::new(2);
        let reads = idle(&slots, Usage::SharedReads, 1);
        let write = slots.try_take(Usage::Writes).unwrap();
        assert!(slots.take(Usage::Writes).now_or_never().is_none());
        assert_eq!(reads.0.lock().len(), 1, "writes have one already");
        drop(write);
        let _other = slots.try_take(Usage::Reads).unwrap();
        assert!(slots.take(Usage::Writes).now_or_never().is_some());
    }

    /// A caller that waited before gets what the other usage gave up.
    #[tokio::test(start_paused = true)]
    async fn a_caller_whose_slot_went_to_another_asks_again() {
        let slots = Slots::new(2);
        let writes = idle(&slots, Usage::Writes, 2);
        let mut first = Box::pin(slots.take(Usage::Writes));
        assert!(first.as_mut().now_or_never().is_none(), "no other usage has one to give");
        let mut read = Box::pin(slots.take(Usage::SharedReads));
        assert!(read.as_mut().now_or_never().is_none(), "the first caller is served first");
        let first = first.await;
        writes.0.lock().push(first);
        let read = timeout(Duration::from_secs(1), read).await;
        assert!(read.is_ok(), "two idle connections write, and none reads");
    }

    #[tokio::test]
    async fn a_waiting_usage_claims_what_comes_back() {
        let slots = Slots::new(1);
        let read = slots.try_take(Usage::SharedReads).unwrap();
        assert!(!slots.is_claimed_from(Usage::SharedReads));
        let mut waits = Box::pin(slots.take(Usage::Writes));
        assert!(waits.as_mut().now_or_never().is_none());
        assert!(slots.is_claimed_from(Usage::SharedReads));
        assert!(!slots.is_claimed_from(Usage::Writes));
        drop(read);
        let _write = waits.now_or_never().unwrap();
        assert!(!slots.is_claimed_from(Usage::SharedReads));
    }
}
