//! How many connections this process has to one server: never more than `POOL_SIZE`.
//!
//! A connection holds a [`Slot`] from the moment when it begins to open until the server is done
//! with it. All pools whose URLs lead to one server share its slots: the two of a member, and those of
//! all regions in development with one database. While one of them has no connection and none is
//! free, another one closes a connection that it can do without.

use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};
use tokio_postgres::Config;

use crate::connection::{Connection, Connector};
use crate::error::DownReason;

/// Between two looks of a waiting caller for a connection that has become idle meanwhile. The pause
/// grows to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// How long a caller waits for the connection that closes for it. A caller that has waited for longer
/// may have got its slot.
const CLOSES_WITHIN: Duration = Duration::from_millis(250);

/// How long a refusal counts for all who log in the same way: each attempt costs the server a
/// process.
const REFUSAL: Duration = Duration::from_millis(100);

/// The classes of the errors that the next attempt would meet as well: a wrong password, and no room
/// for another connection.
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
const REFUSALS: [&str; 2] = ["28", "53"];

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

/// A member's share in the connections that this process may have to its server.
pub(crate) struct Slots {
    limit: Arc<Limit>,
    /// The index of the first of the member's accounts, which are in the order of [`Usage`].
    first: usize,
    /// Notified once another shared connection is open, or an attempt to open one has ended.
    pub(super) opened: Notify,
    /// Notified once a shared connection that was full takes another request.
    pub(super) room: Notify,
}

/// The connections that this process may have to one server, for every member whose URL leads there.
struct Limit {
    size: u32,
    free: Arc<Semaphore>,
    accounts: Vec<Account>,
    refusals: Mutex<Vec<Refusal>>,
}

/// What one usage of one member has of a limit.
#[derive(Default)]
struct Account {
    taken: AtomicU32,
    /// How many callers wait for a slot, and for how many of them a connection closes.
    waiting: AtomicU32,
    lent: AtomicU32,
    lenders: Mutex<Vec<Weak<dyn Lender>>>,
}

/// The server refused a connection.
struct Refusal {
    /// How the attempt logged in.
    login: Config,
    reason: DownReason,
    at: Instant,
}

impl Account {
    fn taken(&self) -> u32 {
        self.taken.load(Ordering::Relaxed)
    }

    fn lenders(&self) -> Vec<Arc<dyn Lender>> {
        self.lenders.lock().iter().filter_map(Weak::upgrade).collect()
    }
}

/// Connections of one usage that can make room for another one.
pub(super) trait Lender: Send + Sync {
    /// Begins to close an idle connection, or else, `even_busy`, the least busy one after what it
    /// works on. False where there is none.
    fn give_up_one(&self, even_busy: bool) -> bool;
}

impl Slots {
    /// The shares of the members that lead to one server.
    pub(crate) fn of_server(size: u32, members: usize) -> Vec<Arc<Self>> {
        let usages = Usage::ALL.len();
        let limit = Arc::new(Limit {
            size,
            free: Arc::new(Semaphore::new(usize::try_from(size).unwrap_or(Semaphore::MAX_PERMITS))),
            accounts: (0..members * usages).map(|_| Account::default()).collect(),
            refusals: Mutex::default(),
        });
        let share = |member: usize| Self {
            limit: limit.clone(),
            first: member * usages,
            opened: Notify::new(),
            room: Notify::new(),
        };
        (0..members).map(|member| Arc::new(share(member))).collect()
    }

    pub(super) fn size(&self) -> u32 {
        self.limit.size
    }

    pub(super) fn has_free(&self) -> bool {
        self.limit.free.available_permits() > 0
    }

    /// How many connections of this usage the member has.
    pub(super) fn taken(&self, usage: Usage) -> u32 {
        self.account(usage).taken()
    }

    fn account(&self, usage: Usage) -> &Account {
        &self.limit.accounts[self.first + usage as usize]
    }

    /// All accounts of the server, but for the member's one of this usage.
    fn others(&self, usage: Usage) -> impl Iterator<Item = &Account> {
        let own = self.first + usage as usize;
        let accounts = self.limit.accounts.iter().enumerate();
        accounts.filter(move |(index, _)| *index != own).map(|(_, account)| account)
    }

    /// Adds connections that can make room for others.
    pub(super) fn add_lender(&self, usage: Usage, lender: Weak<dyn Lender>) {
        let mut lenders = self.account(usage).lenders.lock();
        lenders.retain(|lender| lender.strong_count() > 0);
        lenders.push(lender);
    }

    /// A free slot, if there is one.
    pub(super) fn try_take(self: &Arc<Self>, usage: Usage) -> Option<Slot> {
        let permit = self.limit.free.clone().try_acquire_owned().ok()?;
        Some(Slot::new(self, usage, permit))
    }

    /// Opens a connection, unless the server refused this login a moment ago.
    pub(super) async fn open(
        &self,
        connector: &Connector,
        slot: Slot,
    ) -> Result<Connection, DownReason> {
        // Boxed: it is large.
        self.attempt(connector.url.config(), Box::pin(connector.open(slot))).await
    }

    /// Makes an attempt to connect, unless the server refused this login a moment ago.
    async fn attempt<T>(
        &self,
        login: &Config,
        attempt: impl Future<Output = Result<T, DownReason>>,
    ) -> Result<T, DownReason> {
        if let Some(reason) = self.refusal(login) {
            return Err(reason);
        }
        let outcome = attempt.await;
        if let Some(reason) = outcome.as_ref().err().filter(|reason| is_refusal(reason)) {
            let (login, reason, at) = (login.clone(), reason.clone(), Instant::now());
            self.limit.refusals.lock().push(Refusal { login, reason, at });
        }
        outcome
    }

    /// Why the server refused this login a moment ago.
    fn refusal(&self, login: &Config) -> Option<DownReason> {
        let mut refusals = self.limit.refusals.lock();
        refusals.retain(|refusal| refusal.at.elapsed() < REFUSAL);
        let refusal = refusals.iter().find(|refusal| refusal.login == *login);
        refusal.map(|refusal| refusal.reason.clone())
    }

    /// Waits for a slot. Waits without a limit.
    pub(super) async fn take(self: &Arc<Self>, usage: Usage) -> Slot {
        if let Some(slot) = self.try_take(usage) {
            return slot;
        }
        let mut waiting = Waiting::new(self, usage);
        let mut free = pin!(self.limit.free.clone().acquire_owned());
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

    /// Whether a connection of this usage is to be closed, once it is idle, for another usage or
    /// member that waits and has none.
    pub(super) fn is_claimed_from(&self, usage: Usage) -> bool {
        let is_starving =
            |other: &Account| other.waiting.load(Ordering::Relaxed) > 0 && other.taken() == 0;
        self.others(usage).any(is_starving)
    }

    /// Has another usage or member close a connection: one beyond its first, unless `usage` has none
    /// at all. Returns whether one did.
    fn make_room(&self, usage: Usage) -> bool {
        let account = self.account(usage);
        let has_none = account.taken() + account.lent.load(Ordering::Relaxed) == 0;
        let least = if has_none { 1 } else { 2 };
        let mut others: Vec<_> = self.others(usage).map(|other| (other.taken(), other)).collect();
        others.retain(|(taken, _)| *taken >= least);
        others.sort_by_key(|(taken, _)| std::cmp::Reverse(*taken));
        let lenders: Vec<_> = others.iter().flat_map(|(_, other)| other.lenders()).collect();
        lenders.iter().any(|lender| lender.give_up_one(false))
            || has_none && lenders.iter().any(|lender| lender.give_up_one(true))
    }
}

/// Whether the server would refuse the next attempt as well.
fn is_refusal(reason: &DownReason) -> bool {
    let DownReason::Refused { sqlstate: Some(code), .. } = reason else { return false };
    REFUSALS.iter().any(|class| code.starts_with(class))
}

/// The right to one connection. Dropped with the task that drives it.
pub(crate) struct Slot {
    slots: Arc<Slots>,
    usage: Usage,
    _permit: OwnedSemaphorePermit,
}

impl Slot {
    fn new(slots: &Arc<Slots>, usage: Usage, permit: OwnedSemaphorePermit) -> Self {
        slots.account(usage).taken.fetch_add(1, Ordering::Relaxed);
        Self { slots: slots.clone(), usage, _permit: permit }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.account(self.usage).taken.fetch_sub(1, Ordering::Relaxed);
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
        slots.account(usage).waiting.fetch_add(1, Ordering::Relaxed);
        Self { slots, usage, lent: None }
    }

    fn make_room(&mut self) {
        if self.lent.is_some_and(|lent| lent.elapsed() < CLOSES_WITHIN) {
            return;
        }
        self.forget_lent();
        if self.slots.make_room(self.usage) {
            self.lent = Some(Instant::now());
            self.slots.account(self.usage).lent.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn forget_lent(&mut self) {
        if self.lent.take().is_some() {
            self.slots.account(self.usage).lent.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.slots.account(self.usage).waiting.fetch_sub(1, Ordering::Relaxed);
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

    fn one_member(size: u32) -> Arc<Slots> {
        Slots::of_server(size, 1).remove(0)
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
        let slots = one_member(2);
        let first = slots.try_take(Usage::SharedReads).unwrap();
        let _second = slots.try_take(Usage::Writes).unwrap();
        assert!(slots.try_take(Usage::Reads).is_none() && !slots.has_free());
        drop(first);
        assert_eq!((slots.taken(Usage::SharedReads), slots.taken(Usage::Writes)), (0, 1));
        assert!(slots.try_take(Usage::Reads).is_some());
    }

    #[tokio::test]
    async fn an_idle_connection_makes_room_for_another_usage() {
        let slots = one_member(2);
        let reads = idle(&slots, Usage::SharedReads, 2);
        assert!(slots.take(Usage::Writes).now_or_never().is_some());
        assert_eq!(reads.0.lock().len(), 1);
    }

    #[tokio::test]
    async fn the_last_connection_goes_only_to_a_usage_without_any() {
        let slots = one_member(2);
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
        let slots = one_member(2);
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

    #[tokio::test(start_paused = true)]
    async fn a_server_that_refuses_is_asked_again_after_a_moment() {
        let slots = one_member(2);
        let refused = |code: &str| {
            Err(DownReason::Refused { sqlstate: Some(code.to_owned()), detail: String::new() })
        };
        let (mut ada, grace) = (Config::new(), Config::new());
        ada.user("ada");
        // What the server said first, and whether it is asked again at once.
        for (first, is_asked) in [
            (Ok(1), true),
            (refused("57P03"), true),
            (refused("53300"), false),
            (refused("28P01"), false),
        ] {
            assert_eq!(slots.attempt(&ada, async { first.clone() }).await, first);
            let again = slots.attempt(&ada, async { Ok(2) }).await;
            assert_eq!(again, if is_asked { Ok(2) } else { first });
            let other = slots.attempt(&grace, async { Ok(3) }).await;
            assert_eq!(other, Ok(3), "another role may log in there");
            tokio::time::sleep(REFUSAL).await;
            assert_eq!(slots.attempt(&ada, async { Ok(4) }).await, Ok(4));
        }
    }

    #[tokio::test]
    async fn a_waiting_usage_claims_what_comes_back() {
        let slots = one_member(1);
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

    #[tokio::test]
    async fn members_on_one_server_share_its_limit() {
        let [near, home] = Slots::of_server(2, 2).try_into().ok().unwrap();
        let reads = idle(&near, Usage::SharedReads, 2);
        assert!(home.try_take(Usage::SharedReads).is_none() && !home.has_free());
        assert!(home.take(Usage::SharedReads).now_or_never().is_some());
        assert_eq!((reads.0.lock().len(), near.taken(Usage::SharedReads)), (1, 1));
        assert_eq!(home.taken(Usage::SharedReads), 0, "it was dropped");
    }
}
