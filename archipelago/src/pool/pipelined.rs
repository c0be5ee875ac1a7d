//! Connections that the reads of one runtime share. Usually one carries all reads; others are opened
//! while a slow query stalls it.

use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, Shared, select};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::pipeline::{Pipeline, SLACK, Standing, Ticket};
use super::slots::{Lender, Slot, Slots, Usage};
use crate::connection::{Connector, HasLost, Load, Request};
use crate::error::{DownReason, End, Error};

/// How many unanswered requests a connection may have, on average. More callers wait for a permit.
const DEPTH: usize = 64;

/// How often a stuck request is sent again on another connection.
const COPIES: u8 = 2;

/// How long nothing must have come before the server is asked whether its connection has lost the
/// answer.
const LOST: Duration = Duration::from_secs(1);

/// The pause after a failed attempt to open another connection beside one that works.
const PAUSE: Duration = Duration::from_secs(1);

/// A runtime's shared connections.
pub(super) struct PipelinedPool {
    connector: Connector,
    slots: Arc<Slots>,
    permits: Arc<Semaphore>,
    pipelines: Arc<Mutex<Pipelines>>,
}

struct Pipelines {
    open: Vec<Arc<Pipeline>>,
    opening: Option<Opening>,
    /// No other connection is opened beside one that works before this moment.
    next_opening: Instant,
    is_shut_down: bool,
}

/// The one attempt to connect that is under way. Callers without a connection wait for it.
type Opening = Shared<BoxFuture<'static, Result<(), DownReason>>>;

impl PipelinedPool {
    pub(super) fn new(connector: Connector, slots: Arc<Slots>) -> Self {
        let size = usize::try_from(slots.size()).unwrap_or(usize::MAX);
        let permits = size.saturating_mul(DEPTH).min(Semaphore::MAX_PERMITS);
        let pipelines = Arc::new(Mutex::new(Pipelines {
            open: Vec::new(),
            opening: None,
            next_opening: Instant::now(),
            is_shut_down: false,
        }));
        let lender: Weak<Mutex<Pipelines>> = Arc::downgrade(&pipelines);
        slots.add_lender(Usage::SharedReads, lender);
        Self { connector, slots, permits: Arc::new(Semaphore::new(permits)), pipelines }
    }

    /// How many of its connections are open and not in use.
    pub(super) fn idle(&self) -> u32 {
        let pipelines = self.pipelines.lock();
        let idle = pipelines.usable().filter(|pipeline| pipeline.idle_since().is_some());
        u32::try_from(idle.count()).unwrap_or(u32::MAX)
    }

    /// How many requests have no answer.
    pub(super) fn unanswered(&self) -> usize {
        self.pipelines.lock().open.iter().map(|pipeline| pipeline.unanswered()).sum()
    }

    /// Whether it has no connection, and opens none.
    pub(super) fn is_empty(&self) -> bool {
        let pipelines = self.pipelines.lock();
        pipelines.opening.is_none() && pipelines.usable().next().is_none()
    }

    /// The connection for a request of another runtime, which may open none.
    pub(super) fn lend(&self) -> Option<Arc<Pipeline>> {
        self.pipelines.lock().best().cloned()
    }

    pub(super) fn close(&self) {
        let mut pipelines = self.pipelines.lock();
        pipelines.is_shut_down = true;
        // A caller that waits for an answer keeps its connection until then.
        pipelines.open.clear();
    }

    /// Sends a request on a shared connection. If it is stuck behind a slow query, it is also sent
    /// on another connection and the first answer counts. Fails once the monitor declares the
    /// server silent.
    pub(super) async fn ask<R: Request>(
        &self,
        request: &mut R,
        others: Others<'_>,
    ) -> Result<R::Output, Error> {
        // Its timer starts with its first poll. Most answers come before that.
        let mut silent = pin!(self.connector.health.until_silent());
        let ticket = tokio::select! {
            biased;
            ticket = self.enter(others) => ticket?,
            waited = &mut silent => return Err(self.give_up(waited)),
        };
        let deadline = Instant::now() + self.connector.timeouts.answer();
        let (pipeline, standing) = (ticket.pipeline().clone(), ticket.watch());
        let mut answer = pin!(answer_to(request, &pipeline, ticket));
        if let Ok(answer) = timeout(pipeline.late_after(), &mut answer).await {
            return answer;
        }
        let late =
            Late { pipeline: &pipeline, standing: &standing, deadline, copies: COPIES, others };
        tokio::select! {
            biased;
            answer = self.wait_longer(late, answer, request) => answer,
            waited = silent => Err(self.give_up(waited)),
        }
    }

    /// The server is silent, and will not answer the other callers either.
    fn give_up(&self, waited: Duration) -> Error {
        self.pipelines.lock().open.drain(..).for_each(|pipeline| pipeline.retire());
        Error::Timeout { region: self.connector.region, waited }
    }

    /// Waits for an answer that is late.
    async fn wait_longer<R: Request>(
        &self,
        late: Late<'_>,
        mut answer: Pin<&mut impl Answer<R>>,
        request: &mut R,
    ) -> Result<R::Output, Error> {
        let Late { pipeline, standing, deadline, copies, others } = late;
        let mut pause = pipeline.late_after();
        while Instant::now() < deadline {
            // This thread may have been busy and not have read the answers that are there.
            tokio::task::yield_now().await;
            let other = match standing() {
                Standing::Moving => None,
                Standing::Stuck if copies > 0 => self.enter_another(others),
                Standing::First | Standing::Stuck => {
                    return self.wait_or_ask_again(late, answer, request).await;
                }
            };
            if let Some(ticket) = other {
                let copy = self.ask_again(ticket, request, Late { copies: copies - 1, ..late });
                answer = match select(answer, copy).await {
                    Either::Left((Ok(answer), _)) | Either::Right((Ok(answer), _)) => {
                        return Ok(answer);
                    }
                    Either::Left((Err(_), copy)) => return copy.await,
                    Either::Right((Err(_), answer)) => answer,
                };
                return self.wait_or_ask_again(late, answer, request).await;
            }
            pause *= 2;
            if let Ok(answer) = timeout_at(deadline.min(Instant::now() + pause), &mut answer).await
            {
                return answer;
            }
        }
        self.wait_until(deadline, pipeline, answer).await
    }

    /// Sends the request on another connection.
    fn ask_again<'a, R: Request>(
        &'a self,
        ticket: Ticket,
        request: &'a mut R,
        late: Late<'a>,
    ) -> BoxFuture<'a, Result<R::Output, Error>> {
        Box::pin(async move {
            let (pipeline, standing) = (ticket.pipeline().clone(), ticket.watch());
            let mut answer = pin!(answer_to(request, &pipeline, ticket));
            if let Ok(answer) = timeout(pipeline.late_after(), &mut answer).await {
                return answer;
            }
            let late = Late { pipeline: &pipeline, standing: &standing, ..late };
            self.wait_longer(late, answer, request).await
        })
    }

    /// Waits for an answer. If its connection has lost it, asks again on another one.
    async fn wait_or_ask_again<R: Request>(
        &self,
        late: Late<'_>,
        answer: Pin<&mut impl Answer<R>>,
        request: &mut R,
    ) -> Result<R::Output, Error> {
        // Boxed: it is rare.
        match Box::pin(self.wait_unless_lost(late, answer)).await {
            Some(answer) => answer,
            None => {
                let ticket = self.enter(late.others).await?;
                self.ask_again(ticket, request, Late { copies: 0, ..late }).await
            }
        }
    }

    /// Waits for an answer. None where the server does not work on it, nor on a request before it:
    /// its connection lost it, and is retired.
    async fn wait_unless_lost<A>(
        &self,
        late: Late<'_>,
        mut answer: Pin<&mut impl Future<Output = Result<A, Error>>>,
    ) -> Option<Result<A, Error>> {
        let Late { pipeline, deadline, .. } = late;
        let session = pipeline.connection().session();
        while Instant::now() + LOST < deadline {
            let received = session.received();
            if let Ok(answer) = timeout(LOST, &mut answer).await {
                return Some(answer);
            }
            // A long answer is under way.
            if session.received() != received {
                continue;
            }
            match select(&mut answer, pin!(self.retire_if_lost(late))).await {
                Either::Left((answer, _)) => return Some(answer),
                Either::Right((true, _)) => return None,
                Either::Right((false, _)) => {}
            }
        }
        Some(self.wait_until(deadline, pipeline, answer).await)
    }

    /// Retires a connection that has lost a request, by what another one to the same server says.
    /// Returns whether it did; false where there is no other one yet.
    async fn retire_if_lost(&self, Late { pipeline, others, .. }: Late<'_>) -> bool {
        let Some(ticket) = self.enter_another(others) else { return false };
        let other = ticket.pipeline().clone();
        let (old, new) = (pipeline.connection().identity(), other.connection().identity());
        let session = pipeline.connection().session();
        let is_lost = if new == old {
            let request = Load::<_, Option<bool>>::new(HasLost { process: session.process() });
            let states = timeout(LOST, answer_to(&request, &other, ticket)).await;
            let has_lost =
                states.is_ok_and(|states| states.is_ok_and(|it| it.contains(&Some(true))));
            if has_lost {
                session.record_end(End::Vanished);
            }
            has_lost
        } else {
            // The server was started again since, and the network did not tell. Behind a load
            // balancer it may be another server: then a slow read is asked again.
            new.started > old.started
        };
        if is_lost {
            pipeline.retire();
        }
        is_lost
    }

    /// Waits for an answer until the deadline. A connection without an answer by then is retired.
    async fn wait_until<A>(
        &self,
        deadline: Instant,
        pipeline: &Pipeline,
        answer: impl Future<Output = Result<A, Error>>,
    ) -> Result<A, Error> {
        timeout_at(deadline, answer).await.unwrap_or_else(|_| {
            pipeline.retire();
            let waited = self.connector.timeouts.answer();
            Err(Error::Timeout { region: self.connector.region, waited })
        })
    }

    async fn permit(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, Error> {
        if let Ok(permit) = self.permits.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let Connector { region, timeouts, .. } = self.connector;
        match timeout_at(deadline, self.permits.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(Error::ShutDown { region }),
            Err(_) => Err(Error::Busy { region, waited: timeouts.checkout }),
        }
    }

    /// Enters the queue of the first connection that is not stalled, or else the shortest queue.
    /// Where this runtime has none and may open none, enters that of another runtime.
    async fn enter(&self, others: Others<'_>) -> Result<Ticket, Error> {
        let Connector { region, timeouts, .. } = self.connector;
        let deadline = Instant::now() + timeouts.checkout;
        let permit = self.permit(deadline).await?;
        let mut slot = None;
        loop {
            // From here on no notification is missed.
            let opened = self.slots.opened.notified();
            let opening = {
                let mut pipelines = self.pipelines.lock();
                if pipelines.is_shut_down {
                    return Err(Error::ShutDown { region });
                }
                pipelines.open.retain(|pipeline| !pipeline.is_closed());
                if let Some(pipeline) = pipelines.best().cloned() {
                    self.open_another_if_wanted(&mut pipelines);
                    return Ok(pipeline.enter(permit));
                }
                if pipelines.opening.is_none() {
                    let slot = slot.take().or_else(|| self.slots.try_take(Usage::SharedReads));
                    pipelines.opening = slot.map(|slot| self.opening(slot));
                }
                pipelines.opening.clone()
            };
            let Some(opening) = opening else {
                if let Some(pipeline) = others() {
                    return Ok(pipeline.enter(permit));
                }
                // Boxed: it is rare.
                let free = Box::pin(self.slots.take(Usage::SharedReads));
                match timeout_at(deadline, select(free, pin!(opened))).await {
                    Ok(Either::Left((free, _))) => slot = Some(free),
                    Ok(Either::Right(_)) => {}
                    Err(_) => return Err(Error::Busy { region, waited: timeouts.checkout }),
                }
                continue;
            };
            let late = Err(DownReason::Silent { waited: timeouts.checkout });
            let opened = timeout_at(deadline, opening.clone()).await.unwrap_or(late);
            if opened.is_err() {
                self.pipelines.lock().forget(&opening);
            }
            opened.map_err(|reason| reason.in_region(region))?;
        }
    }

    /// Enters the queue of a connection that is not stalled, of any runtime. If there is none, has
    /// one opened and returns None.
    fn enter_another(&self, others: Others<'_>) -> Option<Ticket> {
        let permit = self.permits.clone().try_acquire_owned().ok()?;
        let unstalled = {
            let mut pipelines = self.pipelines.lock();
            self.open_another_if_wanted(&mut pipelines);
            pipelines.unstalled().cloned()
        };
        let unstalled = unstalled.or_else(|| others().filter(|other| !other.is_late()))?;
        Some(unstalled.enter(permit))
    }

    /// Opens a connection beside those that work if they are still stalled a moment later: this
    /// runtime may have been busy and not have read the answers that are there.
    fn open_another_if_wanted(&self, pipelines: &mut Pipelines) {
        let lifetime = self.connector.timeouts.lifetime;
        let is_time = pipelines.opening.is_none() && pipelines.next_opening <= Instant::now();
        if is_time && self.slots.has_free() && pipelines.wants_another(lifetime) {
            let (connector, shared) = (self.connector.clone(), self.pipelines.clone());
            let slots = self.slots.clone();
            pipelines.opening = Some(spawn_opening(async move {
                sleep(SLACK).await;
                let slot = slots.try_take(Usage::SharedReads);
                match slot.filter(|_| shared.lock().wants_another(lifetime)) {
                    Some(slot) => open(connector, slots, shared, slot).await,
                    None => {
                        shared.lock().opening = None;
                        Ok(())
                    }
                }
            }));
        }
    }

    fn opening(&self, slot: Slot) -> Opening {
        let (connector, slots) = (self.connector.clone(), self.slots.clone());
        spawn_opening(open(connector, slots, self.pipelines.clone(), slot))
    }
}

/// The connection of another runtime for a request of one that may open none.
pub(super) type Others<'a> = &'a (dyn Fn() -> Option<Arc<Pipeline>> + Send + Sync);

/// A request whose answer is late.
#[derive(Clone, Copy)]
struct Late<'a> {
    pipeline: &'a Pipeline,
    standing: &'a (dyn Fn() -> Standing + Send + Sync),
    deadline: Instant,
    /// How often it may still be sent on another connection.
    copies: u8,
    others: Others<'a>,
}

/// The future of an answer.
trait Answer<R: Request>: Future<Output = Result<R::Output, Error>> + Send {}

impl<R: Request, F: Future<Output = Result<R::Output, Error>> + Send> Answer<R> for F {}

/// Sends a request. Its ticket is given back with the answer.
fn answer_to<'a, R: Request>(
    request: &R,
    pipeline: &'a Pipeline,
    mut ticket: Ticket,
) -> impl Answer<R> + use<'a, R> {
    ticket.hold(request.spill_permit());
    request.send(pipeline.connection()).map(move |answer| {
        let was_hit = ticket.answered(answer.is_ok());
        answer.map_err(|error| if was_hit { error.stale() } else { error })
    })
}

/// Spawns an attempt to connect: it goes on when the callers that wait for it leave.
fn spawn_opening(
    attempt: impl Future<Output = Result<(), DownReason>> + Send + 'static,
) -> Opening {
    let task = tokio::spawn(attempt);
    async { task.await.unwrap_or_else(|stopped| Err(DownReason::refused(&stopped))) }
        .boxed()
        .shared()
}

impl Pipelines {
    /// Those that take requests.
    fn usable(&self) -> impl Iterator<Item = &Arc<Pipeline>> {
        self.open.iter().filter(|pipeline| !pipeline.is_closed())
    }

    /// A connection whose oldest answer is not late.
    fn unstalled(&self) -> Option<&Arc<Pipeline>> {
        self.usable().find(|pipeline| !pipeline.is_late())
    }

    /// The connection for the next request.
    fn best(&self) -> Option<&Arc<Pipeline>> {
        let shortest = || self.usable().min_by_key(|pipeline| pipeline.unanswered());
        self.unstalled().or_else(shortest)
    }

    /// Whether all are stalled, or one has reached its lifetime.
    fn wants_another(&self, lifetime: Duration) -> bool {
        let is_old = |pipeline: &Arc<Pipeline>| pipeline.is_older_than(lifetime);
        !self.is_shut_down && (self.unstalled().is_none() || self.open.iter().any(is_old))
    }

    /// Forgets an attempt that has ended, so that the next caller makes one of its own.
    fn forget(&mut self, ended: &Opening) {
        if self.opening.as_ref().is_some_and(|opening| opening.ptr_eq(ended)) {
            self.opening.take_if(|opening| opening.peek().is_some());
        }
    }
}

impl Lender for Mutex<Pipelines> {
    fn give_up_one(&self, even_busy: bool) -> bool {
        let open = &mut self.lock().open;
        let counts = open.iter().map(|pipeline| pipeline.unanswered()).enumerate();
        let least = counts.min_by_key(|(_, unanswered)| *unanswered);
        let Some((index, _)) = least.filter(|(_, unanswered)| even_busy || *unanswered == 0) else {
            return false;
        };
        open.swap_remove(index).retire();
        true
    }
}

/// Opens a connection and adds it to the others, in place of those that have reached their
/// lifetime.
async fn open(
    connector: Connector,
    slots: Arc<Slots>,
    pipelines: Arc<Mutex<Pipelines>>,
    slot: Slot,
) -> Result<(), DownReason> {
    let outcome = connector.open(slot).await;
    let timeouts = connector.timeouts;
    let mut opened = pipelines.lock();
    opened.opening = None;
    match outcome {
        Ok(connection) => {
            opened.open.retain(|pipeline| !pipeline.is_older_than(timeouts.lifetime));
            if !opened.is_shut_down {
                let pipeline = Arc::new(Pipeline::new(connection, timeouts.answer()));
                let (weak, list) = (Arc::downgrade(&pipeline), Arc::downgrade(&pipelines));
                tokio::spawn(close_when_idle(timeouts.idle, weak, list));
                opened.open.push(pipeline);
            }
            drop(opened);
            slots.opened.notify_waiters();
            Ok(())
        }
        Err(reason) => {
            opened.next_opening = Instant::now() + PAUSE;
            Err(reason)
        }
    }
}

/// Removes a connection from the others once it has been idle for `limit`.
async fn close_when_idle(
    limit: Duration,
    pipeline: Weak<Pipeline>,
    pipelines: Weak<Mutex<Pipelines>>,
) {
    let mut next = Instant::now() + limit;
    loop {
        sleep_until(next).await;
        let (Some(pipeline), Some(pipelines)) = (pipeline.upgrade(), pipelines.upgrade()) else {
            return;
        };
        // No request enters while the list is locked.
        let mut pipelines = pipelines.lock();
        let now = Instant::now();
        next = pipeline.idle_since().unwrap_or(now) + limit;
        if next <= now {
            pipeline.retire();
            pipelines.open.retain(|open| !Arc::ptr_eq(open, &pipeline));
            return;
        }
    }
}
