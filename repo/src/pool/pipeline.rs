//! One connection that several callers share: each sends its question at once, and the server answers them in that order.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use diesel_async::AsyncPgConnection;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

use super::lock;
use crate::connect::Connection;
use crate::question::{Ping, Question};

/// How much longer than the quickest answer one may take before the connection counts as held up: some hundred quick queries, and
/// little beside what a visitor notices.
pub(super) const PATIENCE: Duration = Duration::from_millis(2);

/// A shared connection, and what the server still owes on it.
pub(super) struct Pipeline {
    connection: Connection,
    opened: Instant,
    queue: Mutex<Queue>,
}

struct Queue {
    /// The questions without an answer, by their numbers, and when each was sent.
    owed: VecDeque<(u64, Instant)>,
    next: u64,
    /// When the last answer came.
    answered: Instant,
    /// The quickest answer so far: the round trip, nearly.
    quickest: Duration,
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
    pub(super) fn new(connection: Connection) -> Self {
        let (opened, quickest) = (Instant::now(), connection.round_trip);
        Self { connection, opened, queue: Mutex::new(Queue { owed: VecDeque::new(), next: 0, answered: opened, quickest }) }
    }

    /// A place at the end of the queue.
    pub(super) fn enter(self: &Arc<Self>) -> Ticket {
        let mut queue = lock(&self.queue);
        let number = queue.next;
        queue.next += 1;
        queue.owed.push_back((number, Instant::now()));
        Ticket { pipeline: self.clone(), number, answered: false }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.connection.is_closed()
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
        queue.owed.front().is_some_and(|(_, sent)| sent.elapsed() > queue.quickest + PATIENCE)
    }

    /// How long an answer takes when nothing is in its way, and a little more.
    pub(super) fn patience(&self) -> Duration {
        lock(&self.queue).quickest + PATIENCE
    }

    fn standing(&self, number: u64) -> Standing {
        let queue = lock(&self.queue);
        match queue.owed.front() {
            Some((first, sent)) if *first != number => {
                let since = queue.answered.max(*sent);
                if since.elapsed() > queue.quickest + PATIENCE { Standing::Stuck } else { Standing::Moving }
            }
            _ => Standing::First,
        }
    }

    fn answered(&self, number: u64) {
        let mut queue = lock(&self.queue);
        let Some(place) = queue.owed.iter().position(|(owed, _)| *owed == number) else { return };
        let Some((_, sent)) = queue.owed.remove(place) else { return };
        queue.answered = Instant::now();
        queue.quickest = queue.quickest.min(queue.answered - sent);
    }
}

/// A place in a pipeline's queue. It is left when the answer has come, whether or not the caller still waits for it.
pub(super) struct Ticket {
    pipeline: Arc<Pipeline>,
    number: u64,
    answered: bool,
}

impl Ticket {
    pub(super) fn pipeline(&self) -> &Arc<Pipeline> {
        &self.pipeline
    }

    pub(super) fn connection(&self) -> &AsyncPgConnection {
        &self.pipeline.connection.inner
    }

    /// A way to ask how the question stands, while the ticket itself is with whoever waits for the answer.
    pub(super) fn watch(&self) -> impl Fn() -> Standing + use<> {
        let (pipeline, number) = (self.pipeline.clone(), self.number);
        move || pipeline.standing(number)
    }

    pub(super) fn answered(mut self) {
        self.answered = true;
        self.pipeline.answered(self.number);
    }
}

impl Drop for Ticket {
    /// The caller left without the answer. What is sent behind the question is answered after it.
    fn drop(&mut self) {
        let Some(runtime) = Handle::try_current().ok().filter(|_| !self.answered) else { return };
        let (pipeline, number) = (self.pipeline.clone(), self.number);
        runtime.spawn(async move {
            let _ = timeout(LEFT_BEHIND, Ping.send(&pipeline.connection.inner)).await;
            pipeline.answered(number);
        });
    }
}

/// For a question that nobody waits for any more: longer than the server lets a statement run.
const LEFT_BEHIND: Duration = Duration::from_secs(15);
