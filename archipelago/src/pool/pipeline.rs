//! One connection that several callers share: each sends its question at once, and the server answers them in that order.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout};

use super::lock;
use crate::connection::Connection;
use crate::question::{Ping, Question};

/// How much longer than the quickest answer one may take, at the least, before the connection counts as held up: some hundred
/// quick queries, and little beside what a visitor notices. On a long line it is half the quickest answer, as the line's own time
/// varies.
pub(super) const PATIENCE: Duration = Duration::from_millis(2);

/// For how long the quickest answer counts, once or twice: a line may become longer.
const MEMORY: Duration = Duration::from_secs(30);

/// A shared connection, and what the server still owes on it.
pub(super) struct Pipeline {
    connection: Arc<Connection>,
    opened: Instant,
    /// How long the server may take for an answer.
    limit: Duration,
    retired: AtomicBool,
    queue: Mutex<Queue>,
}

struct Queue {
    /// The questions without an answer, by their numbers, and when each was sent.
    owed: VecDeque<(u64, Instant)>,
    next: u64,
    /// When the last answer came.
    answered: Instant,
    quickest: Quickest,
}

/// The quickest answer of late: the round trip, nearly.
struct Quickest {
    since: Instant,
    now: Duration,
    before: Duration,
}

impl Quickest {
    fn count(&mut self, now: Instant, took: Duration) {
        if now - self.since > MEMORY {
            *self = Self { since: now, now: took, before: self.now };
        }
        self.now = self.now.min(took);
    }

    /// What an answer may take before it is late.
    fn patience(&self) -> Duration {
        let quickest = self.now.min(self.before);
        quickest + PATIENCE.max(quickest / 2)
    }
}

/// How a question stands that has waited for a while.
pub(super) enum Standing {
    /// The server works on it.
    First,
    /// Those before it are being answered.
    Moving,
    /// One before it takes the server long.
    Stuck,
}

impl Pipeline {
    /// A connection to share, whose server takes at most `limit` for an answer.
    pub(super) fn new(connection: Connection, limit: Duration) -> Self {
        let (opened, round_trip) = (Instant::now(), connection.round_trip);
        let quickest = Quickest { since: opened, now: round_trip, before: round_trip };
        let queue = Queue { owed: VecDeque::new(), next: 0, answered: opened, quickest };
        Self {
            connection: connection.into_shared(),
            opened,
            limit,
            retired: AtomicBool::new(false),
            queue: Mutex::new(queue),
        }
    }

    /// The end of the queue, in a place that was free.
    pub(super) fn enter(self: &Arc<Self>, place: OwnedSemaphorePermit) -> Ticket {
        let mut queue = lock(&self.queue);
        let number = queue.next;
        queue.next += 1;
        queue.owed.push_back((number, Instant::now()));
        Ticket { pipeline: self.clone(), number, place: Some(place) }
    }

    /// Whether it serves nobody any more: its socket is closed, or it was retired.
    pub(super) fn is_closed(&self) -> bool {
        self.retired.load(Ordering::Relaxed) || self.connection.is_closed()
    }

    /// Nobody enters any more. It is closed when the last of those in the queue has left.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_older_than(&self, age: Duration) -> bool {
        self.opened.elapsed() > age
    }

    /// Since when nobody waits for an answer. None while somebody does.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let queue = lock(&self.queue);
        queue.owed.is_empty().then_some(queue.answered)
    }

    /// How many answers are owed.
    pub(super) fn owed(&self) -> usize {
        lock(&self.queue).owed.len()
    }

    /// Whether the answer owed for longest is late, so that the next question had better go elsewhere.
    pub(super) fn is_late(&self) -> bool {
        let queue = lock(&self.queue);
        queue.owed.front().is_some_and(|(_, sent)| sent.elapsed() > queue.quickest.patience())
    }

    /// How long an answer takes when nothing is in its way, and a little more.
    pub(super) fn patience(&self) -> Duration {
        lock(&self.queue).quickest.patience()
    }

    fn standing(&self, number: u64) -> Standing {
        let queue = lock(&self.queue);
        match queue.owed.front() {
            Some((first, sent)) if *first != number => {
                let since = queue.answered.max(*sent);
                if since.elapsed() > queue.quickest.patience() {
                    Standing::Stuck
                } else {
                    Standing::Moving
                }
            }
            _ => Standing::First,
        }
    }

    /// The answer has come; `served`, where the server gave it, and not somebody on the way.
    fn answered(&self, number: u64, served: bool) {
        let mut queue = lock(&self.queue);
        let Some(place) = queue.owed.iter().position(|(owed, _)| *owed == number) else { return };
        let Some((_, sent)) = queue.owed.remove(place) else { return };
        let now = Instant::now();
        queue.answered = now;
        if served {
            queue.quickest.count(now, now - sent);
        }
    }
}

/// A question's number in a pipeline's queue. It is kept until the answer has come, whether or not the caller still waits for it.
pub(super) struct Ticket {
    pipeline: Arc<Pipeline>,
    number: u64,
    /// Gone with the answer.
    place: Option<OwnedSemaphorePermit>,
}

impl Ticket {
    pub(super) fn pipeline(&self) -> &Arc<Pipeline> {
        &self.pipeline
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.pipeline.connection
    }

    /// A way to ask how the question stands, while the ticket itself is with whoever waits for the answer.
    pub(super) fn watch(&self) -> impl Fn() -> Standing + use<> {
        let (pipeline, number) = (self.pipeline.clone(), self.number);
        move || pipeline.standing(number)
    }

    pub(super) fn answered(mut self, served: bool) {
        self.place = None;
        self.pipeline.answered(self.number, served);
    }
}

impl Drop for Ticket {
    /// The caller left without the answer. What is sent behind the question is answered after it.
    fn drop(&mut self) {
        let Some(place) = self.place.take() else { return };
        let (pipeline, number) = (self.pipeline.clone(), self.number);
        let Ok(runtime) = Handle::try_current() else { return pipeline.retire() };
        runtime.spawn(async move {
            match timeout(pipeline.limit, Ping.send(&pipeline.connection)).await {
                Ok(_) => pipeline.answered(number, false),
                Err(_) => pipeline.retire(),
            }
            drop(place);
        });
    }
}
