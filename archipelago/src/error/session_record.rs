//! What a server has said and done on one connection that Diesel's errors do not tell: the SQLSTATE
//! of its errors, how the connection ended, and whether a request was sent.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use diesel::result::DatabaseErrorInformation;
use parking_lot::Mutex;

use super::close_reason::CloseReason;
use super::pool_record::PoolRecord;
use super::sqlstate::{ENDED_WHILE_IDLE, STALE_PLAN, Sqlstate, is_of_stale_plan};

/// How many errors of one connection are remembered: more than it may have requests without an
/// answer.
const REMEMBERED: usize = 128;

/// A type that is missing on a connection as young as this is missing in the database: other
/// connections are of no more use.
const YOUNG: Duration = Duration::from_secs(10);

/// How many prepared statements a connection may keep. Each costs the server memory, and Diesel
/// forgets none. As many as Rails keeps:
/// <https://guides.rubyonrails.org/configuring.html#configuring-a-postgresql-database>.
const MAX_STATEMENTS: u32 = 1000;

/// `serialization_failure` and `deadlock_detected`: the same transaction may succeed when it is run
/// again.
const CONFLICTS: [&str; 2] = ["40001", "40P01"];

/// How a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum End {
    /// It is open.
    None,
    /// The server or the network closed it.
    Closed,
    /// The kernel gave up on bytes that were never acknowledged.
    Vanished,
    /// The runtime that drove it ended.
    Dropped,
}

/// An error as the server sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServerError {
    pub(crate) code: Sqlstate,
    /// Whether the server closes the connection behind it.
    pub(crate) is_fatal: bool,
    /// Whether a plan or a type that the session keeps is no longer that of the database.
    pub(crate) is_stale: bool,
    /// Of all texts that Diesel passes on.
    fingerprint: u64,
}

impl ServerError {
    /// Reads the fields of an `ErrorResponse`. None where they make no sense.
    ///
    /// The fields: <https://www.postgresql.org/docs/current/protocol-error-fields.html>.
    pub(crate) fn parse(mut body: &[u8]) -> Option<Self> {
        let (mut code, mut severity, mut translated, mut routine) =
            (None, &[][..], &[][..], &[][..]);
        let mut texts: [Option<Cow<'_, str>>; 6] = Default::default();
        while let [field, rest @ ..] = body
            && *field != 0
        {
            let end = rest.iter().position(|byte| *byte == 0)?;
            let value = &rest[..end];
            match field {
                b'C' => code = Sqlstate::new(value),
                b'V' => severity = value,
                b'S' => translated = value,
                b'R' => routine = value,
                field => {
                    if let Some(index) = b"MDHtcn".iter().position(|known| known == field) {
                        texts[index] = Some(String::from_utf8_lossy(value));
                    }
                }
            }
            body = &rest[end + 1..];
        }
        let code = code?;
        // An old proxy tells no other.
        let severity = if severity.is_empty() { translated } else { severity };
        Some(Self {
            code,
            is_fatal: matches!(severity, b"FATAL" | b"PANIC"),
            is_stale: is_of_stale_plan(code.as_str(), routine),
            fingerprint: fingerprint(texts.each_ref().map(Option::as_deref)),
        })
    }
}

fn fingerprint(texts: [Option<&str>; 6]) -> u64 {
    let mut hasher = DefaultHasher::new();
    texts.hash(&mut hasher);
    hasher.finish()
}

/// What is known of one connection. The stream under tokio-postgres writes it.
#[derive(Debug)]
pub(crate) struct SessionRecord {
    /// Whether the session is for reading.
    pub(crate) is_read: bool,
    pool: Arc<PoolRecord>,
    /// The generation of the connection.
    generation: u64,
    opened: Instant,
    is_stale: AtomicBool,
    is_in_transaction: AtomicBool,
    ends_after_use: AtomicBool,
    /// Whether the server or the network ended it.
    is_lost: AtomicBool,
    errors: Mutex<VecDeque<ServerError>>,
    conflicts: AtomicU64,
    end: AtomicU8,
    sent: AtomicU64,
    received: AtomicU64,
    answered: AtomicU64,
    status: AtomicU8,
    process: AtomicI32,
    statements: AtomicU32,
}

impl SessionRecord {
    /// The record of a new connection of a pool.
    pub(crate) fn new(is_read: bool, pool: &Arc<PoolRecord>) -> Self {
        Self {
            is_read,
            pool: pool.clone(),
            generation: pool.generation.load(Ordering::Relaxed),
            opened: Instant::now(),
            is_stale: AtomicBool::default(),
            is_in_transaction: AtomicBool::default(),
            ends_after_use: AtomicBool::default(),
            is_lost: AtomicBool::default(),
            errors: Mutex::default(),
            conflicts: AtomicU64::default(),
            end: AtomicU8::new(End::None as u8),
            sent: AtomicU64::default(),
            received: AtomicU64::default(),
            answered: AtomicU64::default(),
            status: AtomicU8::default(),
            process: AtomicI32::default(),
            statements: AtomicU32::default(),
        }
    }

    /// Records that the server has prepared a statement. A connection with too many is used no more.
    pub(crate) fn record_prepared(&self) {
        self.pool.statements.fetch_add(1, Ordering::Relaxed);
        if self.statements.fetch_add(1, Ordering::Relaxed) == MAX_STATEMENTS {
            self.is_stale.store(true, Ordering::Relaxed);
        }
    }

    /// Records that the server has forgotten a statement.
    pub(crate) fn record_forgotten(&self) {
        let fewer = |count: u32| count.checked_sub(1);
        let order = Ordering::Relaxed;
        if self.statements.fetch_update(order, order, fewer).is_ok() {
            self.pool.statements.fetch_sub(1, order);
        }
    }

    /// Records an error of the server. A stale plan or type retires the connection. It, and an end
    /// for idleness, are true of the whole pool.
    pub(crate) fn record_error(&self, error: ServerError) {
        if error.is_stale {
            self.is_stale.store(true, Ordering::Relaxed);
            self.pool.stale_plans.fetch_add(1, Ordering::Relaxed);
        }
        let is_of_pool = match error.code.as_str() {
            ENDED_WHILE_IDLE => true,
            STALE_PLAN => error.is_stale,
            _ => error.is_stale && self.opened.elapsed() > YOUNG,
        };
        if is_of_pool {
            self.retire_pool();
        }
        if error.is_fatal {
            self.record_loss();
            self.record_end(End::Closed);
        }
        if CONFLICTS.contains(&error.code.as_str()) {
            self.conflicts.fetch_add(1, Ordering::Relaxed);
        }
        let mut errors = self.errors.lock();
        errors.truncate(REMEMBERED - 1);
        errors.push_front(error);
    }

    /// The errors since this was last asked, the last one first.
    pub(super) fn take_errors(&self) -> Vec<ServerError> {
        std::mem::take(&mut *self.errors.lock()).into()
    }

    /// Retires the connection, and each of the pool that is older than this moment.
    pub(crate) fn retire(&self) {
        self.is_stale.store(true, Ordering::Relaxed);
        self.retire_pool();
    }

    /// Retires each connection of the pool that is older than this moment. Only the first call of a
    /// generation counts.
    fn retire_pool(&self) {
        let (mine, order) = (self.generation, Ordering::Relaxed);
        let _ = self.pool.generation.compare_exchange(mine, mine + 1, order, order);
    }

    /// Records how the connection ended. The first record counts. What makes one connection vanish,
    /// as a firewall that was restarted, takes the others of the pool with it.
    pub(crate) fn record_end(&self, end: End) {
        let (none, order) = (End::None as u8, Ordering::Relaxed);
        let is_first = self.end.compare_exchange(none, end as u8, order, order).is_ok();
        if is_first && end == End::Vanished {
            self.retire_pool();
        }
    }

    /// Records that the server or the network ended the connection.
    pub(crate) fn record_loss(&self) {
        self.is_lost.store(true, Ordering::Relaxed);
    }

    /// Records that the server was asked to cancel what it works on.
    pub(crate) fn record_cancel(&self) {
        self.pool.cancels.fetch_add(1, Ordering::Relaxed);
    }

    /// Records whether a transaction is open whose COMMIT was not sent.
    pub(crate) fn record_transaction(&self, is_open: bool) {
        self.is_in_transaction.store(is_open, Ordering::Relaxed);
    }

    /// Has the connection closed instead of being used again: a caller may have changed anything in
    /// its session. Others of its pool stay.
    pub(crate) fn end_after_use(&self) {
        self.ends_after_use.store(true, Ordering::Relaxed);
    }

    pub(crate) fn record_received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Records that the server is done with a message, and its status: `I` outside of a transaction.
    pub(crate) fn record_answered(&self, status: u8) {
        self.status.store(status, Ordering::Relaxed);
        self.answered.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn record_sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn record_process(&self, process: i32) {
        self.process.store(process, Ordering::Relaxed);
    }

    /// How the connection ended, if it did.
    pub(crate) fn end(&self) -> End {
        match self.end.load(Ordering::Relaxed) {
            end if end == End::None as u8 => End::None,
            end if end == End::Closed as u8 => End::Closed,
            end if end == End::Vanished as u8 => End::Vanished,
            _ => End::Dropped,
        }
    }

    /// How many bytes were sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// How many bytes were received.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// How many messages the server is done with. A request has one or several.
    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Whether the last message that was answered has left no transaction open.
    pub(crate) fn is_idle(&self) -> bool {
        self.status.load(Ordering::Relaxed) == b'I'
    }

    /// Whether the server undoes everything if the connection breaks now: COMMIT was not sent.
    pub(crate) fn is_in_transaction(&self) -> bool {
        self.is_in_transaction.load(Ordering::Relaxed)
    }

    /// The process of the server that serves the connection. 0 where it was not told.
    pub(crate) fn process(&self) -> i32 {
        self.process.load(Ordering::Relaxed)
    }

    /// Whether it is not to be used again.
    pub(crate) fn is_retired(&self) -> bool {
        self.is_older()
            || self.is_stale.load(Ordering::Relaxed)
            || self.ends_after_use.load(Ordering::Relaxed)
    }

    /// Whether it is of a generation that is retired.
    fn is_older(&self) -> bool {
        self.generation != self.pool.generation.load(Ordering::Relaxed)
    }

    /// Why it was closed. None where it was never open.
    fn close_reason(&self) -> Option<CloseReason> {
        let is_set = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        Some(match self.end() {
            _ if self.answered() == 0 => return None,
            End::Vanished => CloseReason::Vanished,
            End::Dropped => CloseReason::RuntimeEnded,
            _ if is_set(&self.is_lost) => CloseReason::Lost,
            _ if self.statements.load(Ordering::Relaxed) > MAX_STATEMENTS => {
                CloseReason::Statements
            }
            _ if is_set(&self.is_stale) => CloseReason::Stale,
            _ if is_set(&self.ends_after_use) => CloseReason::Lent,
            _ if self.is_older() => CloseReason::Older,
            End::None | End::Closed => CloseReason::Released,
        })
    }

    /// The server's error that Diesel passes on as `error`.
    pub(super) fn find(&self, error: &dyn DatabaseErrorInformation) -> Option<ServerError> {
        let sought = fingerprint([
            Some(error.message()),
            error.details(),
            error.hint(),
            error.table_name(),
            error.column_name(),
            error.constraint_name(),
        ]);
        self.errors.lock().iter().copied().find(|error| error.fingerprint == sought)
    }

    /// How often the server has undone a transaction because of another one.
    pub(crate) fn conflicts(&self) -> u64 {
        self.conflicts.load(Ordering::Relaxed)
    }

    /// The last error of the server if the connection ended with it.
    pub(super) fn last_words(&self) -> Option<ServerError> {
        self.errors.lock().front().copied().filter(|error| error.is_fatal)
    }
}

impl Drop for SessionRecord {
    fn drop(&mut self) {
        if let Some(reason) = self.close_reason() {
            self.pool.record_closed(reason);
        }
        self.pool.statements.fetch_sub(*self.statements.get_mut(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::PoolCounts;

    /// What happens to a connection, from its opening to its end.
    type Life = fn(&SessionRecord);

    #[test]
    fn why_a_connection_was_closed() {
        let table: [(&str, Life, CloseReason); 7] = [
            ("its idle timeout", |it| it.record_end(End::Closed), CloseReason::Released),
            (
                "its server stopped",
                |it| {
                    it.record_loss();
                    it.record_end(End::Closed);
                },
                CloseReason::Lost,
            ),
            ("a firewall", |it| it.record_end(End::Vanished), CloseReason::Vanished),
            ("its runtime", |it| it.record_end(End::Dropped), CloseReason::RuntimeEnded),
            ("a lost right", SessionRecord::retire, CloseReason::Stale),
            (
                "many statements",
                |it| (0..=MAX_STATEMENTS).for_each(|_| it.record_prepared()),
                CloseReason::Statements,
            ),
            ("a caller's own code", SessionRecord::end_after_use, CloseReason::Lent),
        ];
        for (story, live, reason) in table {
            let pool = Arc::default();
            let session = SessionRecord::new(true, &pool);
            session.record_answered(b'I');
            live(&session);
            drop(session);
            let closed =
                CloseReason::ALL.iter().copied().filter(|it| pool.counts().closed(*it) > 0);
            assert_eq!(closed.collect::<Vec<_>>(), [reason], "{story}");
        }
    }

    #[test]
    fn a_connection_that_never_opened_is_not_counted() {
        let pool = Arc::default();
        drop(SessionRecord::new(true, &pool));
        assert_eq!(pool.counts(), PoolCounts::default());
    }

    #[test]
    fn a_connection_that_is_closed_for_another_one_is_older() {
        let pool = Arc::default();
        let [one, other] = [0, 1].map(|_| SessionRecord::new(true, &pool));
        one.record_answered(b'I');
        other.record_answered(b'I');
        one.retire();
        drop((one, other));
        let counts = pool.counts();
        assert_eq!((counts.closed(CloseReason::Stale), counts.closed(CloseReason::Older)), (1, 1));
    }
}
