//! One connection that several callers share: each sends its request at once, and the server
//! answers in that order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::slots::Slots;
use crate::connection::{Connection, Ping, Request, SpillPermit, WORTH_CANCELLING};

/// Least slack over the fastest answer before a connection counts as stalled: a few hundred quick
/// queries, and less than a visitor notices. On a long line the slack is half the fastest answer,
/// as the round trip itself varies.
pub(super) const SLACK: Duration = Duration::from_millis(2);

/// How many unanswered requests a connection may have. More callers wait for room.
pub(super) const DEPTH: usize = 64;

/// The longest pause between two requests to cancel the same request.
const AGAIN: Duration = Duration::from_secs(1);

/// Between two looks whether the server has come to the next of several abandoned requests.
const LOOK: Duration = Duration::from_millis(10);

/// How long the server may work on one of several abandoned requests behind which a caller waits. If it
/// is the caller's own by then, that is asked again.
const IN_THE_WAY: Duration = Duration::from_millis(20);

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
    /// Notified once it is retired.
    retired: Arc<Notify>,
    /// Whether the next request of the runtime that it belongs to has that drive it. False as well where
    /// that runtime has ended, and its home drives it on.
    is_at_home: AtomicBool,
    queue: Mutex<Queue>,
    slots: Arc<Slots>,
}

/// The requests without an answer, in the order in which they were sent.
struct Queue {
    unanswered: VecDeque<Unanswered>,
    next: u64,
    last_answer: Instant,
    fastest: Fastest,
    /// When the server was last asked to cancel a request of this connection.
    cancelled: Option<Instant>,
}

struct Unanswered {
    number: u64,
    sent: Instant,
    /// Whether its caller has left.
    is_abandoned: bool,
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
        self.unanswered.push_back(Unanswered { number, sent: now, is_abandoned: false });
        number
    }

    /// Removes an answered request. `counts` where its time tells how fast the server is.
    fn remove(&mut self, number: u64, now: Instant, counts: bool) {
        let index = self.unanswered.iter().position(|it| it.number == number);
        let Some(Unanswered { sent, .. }) = index.and_then(|index| self.unanswered.remove(index))
        else {
            return;
        };
        self.last_answer = now;
        if counts {
            self.fastest.record(now, now - sent);
        }
    }

    fn abandon(&mut self, number: u64) {
        if let Some(request) = self.unanswered.iter_mut().find(|it| it.number == number) {
            request.is_abandoned = true;
        }
    }

    /// Whether no caller waits for any answer.
    fn is_unwanted(&self) -> bool {
        self.unanswered.iter().all(|it| it.is_abandoned)
    }

    /// How many requests without a caller stand before the first one with a caller.
    fn abandoned_ahead(&self) -> usize {
        self.unanswered.iter().take_while(|it| it.is_abandoned).count()
    }

    fn has_room(&self) -> bool {
        self.unanswered.len() < DEPTH
    }

    /// Whether the oldest answer is late, so that the next request should go elsewhere.
    fn is_late(&self, now: Instant) -> bool {
        let oldest = self.unanswered.front();
        oldest.is_some_and(|it| now - it.sent > self.fastest.late_after())
    }

    fn is_first(&self, number: u64) -> bool {
        self.unanswered.front().is_some_and(|it| it.number == number)
    }

    fn standing(&self, number: u64, now: Instant) -> Standing {
        match self.unanswered.front() {
            Some(first) if first.number != number => {
                let in_front_since = self.last_answer.max(first.sent);
                let is_stuck = now - in_front_since > self.fastest.late_after();
                if is_stuck { Standing::Stuck } else { Standing::Moving }
            }
            _ => Standing::First,
        }
    }
}

impl Pipeline {
    /// A connection to share, whose server may take `limit` for an answer.
    pub(super) fn new(connection: Connection, limit: Duration, slots: Arc<Slots>) -> Self {
        let opened = Instant::now();
        let queue = Mutex::new(Queue::new(opened, connection.round_trip));
        Self {
            connection: connection.into_shared(),
            opened,
            limit,
            is_retired: AtomicBool::new(false),
            retired: Arc::default(),
            is_at_home: AtomicBool::new(true),
            queue,
            slots,
        }
    }

    /// Takes a place at the end of the queue, for a request of the runtime that it belongs to. That
    /// drives it from now on.
    pub(super) fn enter(self: &Arc<Self>) -> Ticket {
        if self.is_at_home.load(Ordering::Relaxed) && self.is_at_home.swap(false, Ordering::Relaxed)
        {
            self.connection.move_here();
        }
        self.ticket(false)
    }

    /// As [`enter`](Self::enter), for a request of another runtime.
    pub(super) fn borrow(self: &Arc<Self>) -> Ticket {
        self.ticket(true)
    }

    fn ticket(self: &Arc<Self>, is_borrowed: bool) -> Ticket {
        let sent = Instant::now();
        let number = self.queue.lock().push(sent);
        let (pipeline, spill_permit) = (self.clone(), None);
        Ticket { pipeline, number, sent, is_borrowed, is_answered: false, spill_permit }
    }

    /// Has its home drive it: the runtime that it belongs to may stand still. Returns whether that one
    /// drove it.
    pub(super) fn move_home(&self) -> bool {
        let was_away = self.connection.move_home();
        self.is_at_home.store(true, Ordering::Relaxed);
        was_away
    }

    /// Whether it takes another request.
    pub(super) fn has_room(&self) -> bool {
        self.queue.lock().has_room()
    }

    /// Removes an answered request from the queue.
    fn remove(&self, number: u64, counts: bool) {
        let had_room = {
            let mut queue = self.queue.lock();
            let had_room = queue.has_room();
            queue.remove(number, Instant::now(), counts);
            had_room
        };
        if !had_room {
            self.slots.room.notify_one();
        }
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The connection, for a question of the monitor.
    pub(super) fn shared(&self) -> Arc<Connection> {
        self.move_home();
        self.connection.clone()
    }

    /// Whether it takes no more requests: its socket is closed, or it was retired.
    pub(super) fn is_closed(&self) -> bool {
        self.is_retired.load(Ordering::Relaxed) || self.connection.is_closed()
    }

    /// Takes no more requests. The connection closes once the queue is empty.
    pub(super) fn retire(&self) {
        self.is_retired.store(true, Ordering::Relaxed);
        self.retired.notify_one();
    }

    /// Notified once it is retired.
    pub(super) fn retired(&self) -> Arc<Notify> {
        self.retired.clone()
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
    /// is worth its cost, and then those behind it without a caller. The server may have begun
    /// another one by then: that is asked again.
    async fn cancel_when_worth(&self, number: u64) {
        let session = self.connection.session();
        // How many messages were answered, and since when it is so many.
        let (mut answered, mut since) = (session.answered(), Instant::now());
        sleep(WORTH_CANCELLING).await;
        // Its runtime may have left with the caller. What has come by now is read first.
        self.move_home();
        sleep(LOOK).await;
        let mut begun = answered;
        let mut last: Option<Instant> = None;
        let (mut again, mut asked) = (WORTH_CANCELLING, 0);
        loop {
            let now = Instant::now();
            if session.answered() != answered {
                (answered, since, again) = (session.answered(), now, WORTH_CANCELLING);
            }
            let (is_first, is_unwanted, in_the_way) = {
                let queue = self.queue.lock();
                (queue.is_first(number), queue.is_unwanted(), queue.abandoned_ahead())
            };
            if !is_first {
                begun = answered;
            }
            // Each has a message at least. Those that were answered stay in the queue until all are.
            let is_among_them = answered - begun < in_the_way as u64;
            let patience = match last {
                _ if is_unwanted => Duration::ZERO,
                Some(_) if asked < in_the_way && is_among_them => IN_THE_WAY,
                _ => WORTH_CANCELLING,
            };
            let pause = match last {
                // A caller's request may be the slow one.
                Some(_) if !is_unwanted && asked >= in_the_way => AGAIN,
                // Between two messages a request to cancel finds nothing.
                Some(at) if at >= since => again,
                _ => Duration::ZERO,
            };
            let is_time = now - since >= patience && last.is_none_or(|at| now - at >= pause);
            if is_first && is_time {
                if last.is_some_and(|at| at >= since) {
                    again = AGAIN.min(again * 2);
                }
                self.queue.lock().cancelled = Some(now);
                session.record_cancel();
                self.connection.canceller().cancel().await;
                self.queue.lock().cancelled = Some(Instant::now());
                last = Some(Instant::now());
                asked += 1;
            }
            sleep(if is_first { LOOK } else { WORTH_CANCELLING }).await;
        }
    }
}

/// A request's number in the queue. The number stays there until the server has answered, whether
/// or not the caller still waits.
pub(super) struct Ticket {
    pipeline: Arc<Pipeline>,
    number: u64,
    sent: Instant,
    /// Whether the connection belongs to another runtime than that of the request.
    is_borrowed: bool,
    is_answered: bool,
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

    pub(super) fn is_borrowed(&self) -> bool {
        self.is_borrowed
    }

    /// A function that tells where the request stands while the ticket itself is in use.
    pub(super) fn watch(&self) -> impl Fn() -> Standing + use<> {
        let (pipeline, number) = (self.pipeline.clone(), self.number);
        move || pipeline.queue.lock().standing(number, Instant::now())
    }

    /// Removes the request from the queue. `is_ok` tells a server's answer from an error. Returns
    /// whether the error may be that of a request that was cancelled in place of another one.
    pub(super) fn answered(mut self, is_ok: bool) -> bool {
        self.is_answered = true;
        self.pipeline.remove(self.number, is_ok);
        !is_ok && self.pipeline.may_have_been_cancelled(self.sent)
    }
}

impl Drop for Ticket {
    /// The caller left before the answer. A ping sent behind the request is answered after it.
    fn drop(&mut self) {
        if self.is_answered {
            return;
        }
        let spill_permit = self.spill_permit.take();
        let (pipeline, number) = (self.pipeline.clone(), self.number);
        pipeline.queue.lock().abandon(number);
        // It outlives the caller's runtime.
        let home = pipeline.connection.home().clone();
        home.spawn(async move {
            let answered = async {
                tokio::select! {
                    _ = Ping.send(&pipeline.connection) => {}
                    () = pipeline.cancel_when_worth(number) => {}
                }
            };
            match timeout(pipeline.limit, answered).await {
                Ok(()) => pipeline.remove(number, false),
                Err(_) => pipeline.retire(),
            }
            drop(spill_permit);
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
