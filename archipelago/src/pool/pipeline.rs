//! One connection that several callers share: each sends its request at once, and the server
//! answers in that order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep, timeout};

use crate::connection::{Connection, Ping, Request, SpillPermit, WORTH_CANCELLING};

/// Least slack over the fastest answer before a connection counts as stalled: a few hundred quick
/// queries, and less than a visitor notices. On a long line the slack is half the fastest answer,
/// as the round trip itself varies.
pub(super) const SLACK: Duration = Duration::from_millis(2);

/// Between two requests to cancel the same request.
const AGAIN: Duration = Duration::from_secs(1);

/// The length of a period. The fastest answer of this and the previous one counts: a line may
/// become longer.
const PERIOD: Duration = Duration::from_secs(30);

/// A shared connection, and the requests that the server has not answered.
pub(super) struct Pipeline {
    connection: Arc<Connection>,
    opened: Instant,
    /// How long the server may take for an answer.
    limit: Duration,
    is_retired: AtomicBool,
    queue: Mutex<Queue>,
}

/// The requests without an answer, in the order in which they were sent.
struct Queue {
    /// The number of each request, and when it was sent.
    unanswered: VecDeque<(u64, Instant)>,
    next: u64,
    last_answer: Instant,
    fastest: Fastest,
    /// When the server was last asked to cancel a request of this connection.
    cancelled: Option<Instant>,
}

/// The fastest answer of this [`PERIOD`] and the previous one: nearly the round trip.
struct Fastest {
    since: Instant,
    current: Duration,
    previous: Duration,
}

/// Where a request stands that has waited for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The server works on it.
    First,
    /// The server answers the requests before it.
    Moving,
    /// The server works on one before it for long.
    Stuck,
}

impl Fastest {
    fn new(now: Instant, answer: Duration) -> Self {
        Self { since: now, current: answer, previous: answer }
    }

    fn record(&mut self, now: Instant, answer: Duration) {
        if now - self.since > PERIOD {
            *self = Self { since: now, current: answer, previous: self.current };
        }
        self.current = self.current.min(answer);
    }

    /// How long an answer may take before it is late.
    fn late_after(&self) -> Duration {
        let fastest = self.current.min(self.previous);
        fastest + SLACK.max(fastest / 2)
    }
}

impl Queue {
    fn new(now: Instant, round_trip: Duration) -> Self {
        let fastest = Fastest::new(now, round_trip);
        Self { unanswered: VecDeque::new(), next: 0, last_answer: now, fastest, cancelled: None }
    }

    /// Adds a request at the end. Returns its number.
    fn push(&mut self, now: Instant) -> u64 {
        let number = self.next;
        self.next += 1;
        self.unanswered.push_back((number, now));
        number
    }

    /// Removes an answered request. `counts` where its time tells how fast the server is.
    fn remove(&mut self, number: u64, now: Instant, counts: bool) {
        let index = self.unanswered.iter().position(|(unanswered, _)| *unanswered == number);
        let Some((_, sent)) = index.and_then(|index| self.unanswered.remove(index)) else { return };
        self.last_answer = now;
        if counts {
            self.fastest.record(now, now - sent);
        }
    }

    /// Whether the oldest answer is late, so that the next request should go elsewhere.
    fn is_late(&self, now: Instant) -> bool {
        let oldest = self.unanswered.front();
        oldest.is_some_and(|(_, sent)| now - *sent > self.fastest.late_after())
    }

    /// How long the server has worked on a request. None where it has not begun, or is done.
    fn worked_on(&self, number: u64, now: Instant) -> Option<Duration> {
        let (first, sent) = self.unanswered.front()?;
        (*first == number).then(|| now - self.last_answer.max(*sent))
    }

    fn standing(&self, number: u64, now: Instant) -> Standing {
        match self.unanswered.front() {
            Some((first, sent)) if *first != number => {
                let in_front_since = self.last_answer.max(*sent);
                let is_stuck = now - in_front_since > self.fastest.late_after();
                if is_stuck { Standing::Stuck } else { Standing::Moving }
            }
            _ => Standing::First,
        }
    }
}

impl Pipeline {
    /// A connection to share, whose server may take `limit` for an answer.
    pub(super) fn new(connection: Connection, limit: Duration) -> Self {
        let opened = Instant::now();
        let queue = Mutex::new(Queue::new(opened, connection.round_trip));
        let (connection, is_retired) = (connection.into_shared(), AtomicBool::new(false));
        Self { connection, opened, limit, is_retired, queue }
    }

    /// Takes a place at the end of the queue. The permit bounds how many requests wait.
    pub(super) fn enter(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Ticket {
        let sent = Instant::now();
        let number = self.queue.lock().push(sent);
        Ticket { pipeline: self.clone(), number, sent, permit: Some(permit), spill_permit: None }
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The connection, for a question of the monitor.
    pub(super) fn shared(&self) -> Arc<Connection> {
        self.connection.clone()
    }

    /// Whether it takes no more requests: its socket is closed, or it was retired.
    pub(super) fn is_closed(&self) -> bool {
        self.is_retired.load(Ordering::Relaxed) || self.connection.is_closed()
    }

    /// Takes no more requests. The connection closes once the queue is empty.
    pub(super) fn retire(&self) {
        self.is_retired.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_older_than(&self, age: Duration) -> bool {
        self.opened.elapsed() > age
    }

    /// Since when the queue is empty. None while it is not.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let queue = self.queue.lock();
        queue.unanswered.is_empty().then_some(queue.last_answer)
    }

    /// How many requests have no answer.
    pub(super) fn unanswered(&self) -> usize {
        self.queue.lock().unanswered.len()
    }

    /// Whether the oldest answer is late, so that the next request should go elsewhere.
    pub(super) fn is_late(&self) -> bool {
        self.queue.lock().is_late(Instant::now())
    }

    /// How long an answer may take before it is late.
    pub(super) fn late_after(&self) -> Duration {
        self.queue.lock().fastest.late_after()
    }

    /// Whether a request that was sent at `sent` may have been cancelled in place of another one.
    fn may_have_been_cancelled(&self, sent: Instant) -> bool {
        // The server may obey a moment after the request was sent.
        self.queue.lock().cancelled.is_some_and(|cancelled| sent < cancelled + AGAIN)
    }

    /// Cancels a request without a caller, once the server has worked on it for so long that this
    /// is worth its cost. The server may have begun the next one by then: that is asked again.
    async fn cancel_when_worth(&self, number: u64) {
        loop {
            let worked = {
                let mut queue = self.queue.lock();
                let now = Instant::now();
                let worked = queue.worked_on(number, now).unwrap_or_default();
                if worked >= WORTH_CANCELLING {
                    queue.cancelled = Some(now);
                }
                worked
            };
            if worked >= WORTH_CANCELLING {
                self.connection.canceller().cancel().await;
                self.queue.lock().cancelled = Some(Instant::now());
                sleep(AGAIN).await;
            } else {
                sleep(WORTH_CANCELLING.saturating_sub(worked)).await;
            }
        }
    }
}

/// A request's number in the queue. The number stays there until the server has answered, whether
/// or not the caller still waits.
pub(super) struct Ticket {
    pipeline: Arc<Pipeline>,
    number: u64,
    sent: Instant,
    /// None once the request is answered.
    permit: Option<OwnedSemaphorePermit>,
    spill_permit: Option<SpillPermit>,
}

impl Ticket {
    /// Holds the permit until the server has answered.
    pub(super) fn hold(&mut self, permit: Option<SpillPermit>) {
        self.spill_permit = permit;
    }

    pub(super) fn pipeline(&self) -> &Arc<Pipeline> {
        &self.pipeline
    }

    /// A function that tells where the request stands while the ticket itself is in use.
    pub(super) fn watch(&self) -> impl Fn() -> Standing + use<> {
        let (pipeline, number) = (self.pipeline.clone(), self.number);
        move || pipeline.queue.lock().standing(number, Instant::now())
    }

    /// Removes the request from the queue. `is_ok` tells a server's answer from an error. Returns
    /// whether the error may be that of a request that was cancelled in place of another one.
    pub(super) fn answered(mut self, is_ok: bool) -> bool {
        self.permit = None;
        self.pipeline.queue.lock().remove(self.number, Instant::now(), is_ok);
        !is_ok && self.pipeline.may_have_been_cancelled(self.sent)
    }
}

impl Drop for Ticket {
    /// The caller left before the answer. A ping sent behind the request is answered after it.
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        let permits = (permit, self.spill_permit.take());
        let (pipeline, number) = (self.pipeline.clone(), self.number);
        // The runtime of the connection: it may outlive the caller's.
        let home = pipeline.connection.home().clone();
        home.spawn(async move {
            let answered = async {
                tokio::select! {
                    _ = Ping.send(&pipeline.connection) => {}
                    () = pipeline.cancel_when_worth(number) => {}
                }
            };
            match timeout(pipeline.limit, answered).await {
                Ok(()) => pipeline.queue.lock().remove(number, Instant::now(), false),
                Err(_) => pipeline.retire(),
            }
            drop(permits);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn where_a_request_stands() {
        let start = Instant::now();
        let mut queue = Queue::new(start, ms(1));
        let (first, second) = (queue.push(start), queue.push(start));
        // An answer is late after 1 ms + 2 ms.
        assert_eq!(queue.standing(first, start + ms(9)), Standing::First);
        assert_eq!(queue.standing(second, start + ms(3)), Standing::Moving);
        assert_eq!(queue.standing(second, start + ms(4)), Standing::Stuck);
        assert!(!queue.is_late(start + ms(3)));
        assert!(queue.is_late(start + ms(4)));

        let third = queue.push(start + ms(4));
        queue.remove(first, start + ms(9), true);
        assert_eq!(queue.standing(second, start + ms(99)), Standing::First);
        assert_eq!(queue.standing(third, start + ms(12)), Standing::Moving);
        assert_eq!(queue.standing(third, start + ms(13)), Standing::Stuck);
        queue.remove(second, start + ms(13), true);
        queue.remove(third, start + ms(13), true);
        assert!(!queue.is_late(start + ms(99)));
    }

    #[test]
    fn an_answer_is_late_by_the_fastest_of_two_periods() {
        let start = Instant::now();
        let mut fastest = Fastest::new(start, ms(100));
        assert_eq!(fastest.late_after(), ms(150));
        fastest.record(start + ms(10), ms(1));
        assert_eq!(fastest.late_after(), ms(3));
        let later = start + PERIOD + ms(1);
        fastest.record(later, ms(100));
        assert_eq!(fastest.late_after(), ms(3), "the previous period still counts");
        fastest.record(later + PERIOD + ms(1), ms(100));
        assert_eq!(fastest.late_after(), ms(150), "the line has become longer");
    }

    #[test]
    fn an_error_tells_nothing_of_the_server_speed() {
        let start = Instant::now();
        let mut queue = Queue::new(start, ms(100));
        let request = queue.push(start);
        queue.remove(request, start + ms(1), false);
        assert_eq!(queue.fastest.late_after(), ms(150));
    }
}
