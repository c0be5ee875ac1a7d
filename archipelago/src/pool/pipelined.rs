//! Connections that the reads of one thread share. Usually one carries all reads; others are opened
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

/// A thread's shared connections, at most `limit`.
pub(super) struct PipelinedPool {
    connector: Connector,
    limit: usize,
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
    pub(super) fn new(connector: Connector, limit: u32) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let permits = limit.saturating_mul(DEPTH).min(Semaphore::MAX_PERMITS);
        let pipelines = Pipelines {
            open: Vec::new(),
            opening: None,
            next_opening: Instant::now(),
            is_shut_down: false,
        };
        Self {
            connector,
            limit,
            permits: Arc::new(Semaphore::new(permits)),
            pipelines: Arc::new(Mutex::new(pipelines)),
        }
    }

    /// How many connections are open, and how many of them are idle.
    pub(super) fn count(&self) -> (u32, u32) {
        let pipelines = self.pipelines.lock();
        let open = pipelines.open.iter().filter(|pipeline| !pipeline.is_closed());
        open.fold((0, 0), |(open, idle), pipeline| {
            (open + 1, idle + u32::from(pipeline.idle_since().is_some()))
        })
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
    pub(super) async fn ask<R: Request>(&self, request: &mut R) -> Result<R::Output, Error> {
        // Its timer starts with its first poll. Most answers come before that.
        let mut silent = pin!(self.connector.health.until_silent());
        let ticket = tokio::select! {
            biased;
            ticket = self.enter() => ticket?,
            waited = &mut silent => return Err(self.give_up(waited)),
        };
        let deadline = Instant::now() + self.connector.timeouts.answer();
        let (pipeline, standing) = (ticket.pipeline().clone(), ticket.watch());
        let mut answer = pin!(answer_to(request, &pipeline, ticket));
        if let Ok(answer) = timeout(pipeline.late_after(), &mut answer).await {
            return answer;
        }
        let late = Late { pipeline: &pipeline, standing: &standing, deadline, copies: COPIES };
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
        let Late { pipeline, standing, deadline, copies } = late;
        let mut pause = pipeline.late_after();
        while Instant::now() < deadline {
            // This thread may have been busy and not have read the answers that are there.
            tokio::task::yield_now().await;
            let other = match standing() {
                Standing::Moving => None,
                Standing::Stuck if copies > 0 => self.enter_another(),
                Standing::First | Standing::Stuck => {
                    return self.wait_or_ask_again(late, answer, request).await;
                }
            };
            if let Some(ticket) = other {
                let copy = self.ask_again(ticket, request, deadline, copies - 1);
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
        deadline: Instant,
        copies: u8,
    ) -> BoxFuture<'a, Result<R::Output, Error>> {
        Box::pin(async move {
            let (pipeline, standing) = (ticket.pipeline().clone(), ticket.watch());
            let mut answer = pin!(answer_to(request, &pipeline, ticket));
            if let Ok(answer) = timeout(pipeline.late_after(), &mut answer).await {
                return answer;
            }
            let late = Late { pipeline: &pipeline, standing: &standing, deadline, copies };
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
            None => self.ask_again(self.enter().await?, request, late.deadline, 0).await,
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
            match select(&mut answer, pin!(self.retire_if_lost(pipeline))).await {
                Either::Left((answer, _)) => return Some(answer),
                Either::Right((true, _)) => return None,
                Either::Right((false, _)) => {}
            }
        }
        Some(self.wait_until(deadline, pipeline, answer).await)
    }

    /// Retires a connection that has lost a request, by what another one to the same server says.
    /// Returns whether it did; false where there is no other one yet.
    async fn retire_if_lost(&self, pipeline: &Pipeline) -> bool {
        let Some(ticket) = self.enter_another() else { return false };
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
    async fn enter(&self) -> Result<Ticket, Error> {
        let Connector { region, timeouts, .. } = self.connector;
        let deadline = Instant::now() + timeouts.checkout;
        let permit = self.permit(deadline).await?;
        loop {
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
                self.opening(&mut pipelines)
            };
            let late = Err(DownReason::Silent { waited: timeouts.checkout });
            let opened = timeout_at(deadline, opening).await.unwrap_or(late);
            opened.map_err(|reason| reason.in_region(region))?;
        }
    }

    /// Enters the queue of a connection that is not stalled. If there is none, has one opened and
    /// returns None.
    fn enter_another(&self) -> Option<Ticket> {
        let permit = self.permits.clone().try_acquire_owned().ok()?;
        let mut pipelines = self.pipelines.lock();
        let unstalled = pipelines.unstalled().cloned();
        self.open_another_if_wanted(&mut pipelines);
        Some(unstalled?.enter(permit))
    }

    /// Opens a connection beside those that work if they are still stalled a moment later: this
    /// thread may have been busy and not have read the answers that are there.
    fn open_another_if_wanted(&self, pipelines: &mut Pipelines) {
        let (limit, lifetime) = (self.limit, self.connector.timeouts.lifetime);
        let is_time = pipelines.opening.is_none() && pipelines.next_opening <= Instant::now();
        if is_time && pipelines.wants_another(limit, lifetime) {
            let (connector, shared) = (self.connector.clone(), self.pipelines.clone());
            pipelines.opening = Some(spawn_opening(async move {
                sleep(SLACK).await;
                if !shared.lock().wants_another(limit, lifetime) {
                    shared.lock().opening = None;
                    return Ok(());
                }
                open(connector, shared).await
            }));
        }
    }

    fn opening(&self, pipelines: &mut Pipelines) -> Opening {
        let open = || spawn_opening(open(self.connector.clone(), self.pipelines.clone()));
        pipelines.opening.get_or_insert_with(open).clone()
    }
}

/// A request whose answer is late.
#[derive(Clone, Copy)]
struct Late<'a> {
    pipeline: &'a Pipeline,
    standing: &'a (dyn Fn() -> Standing + Send + Sync),
    deadline: Instant,
    /// How often it may still be sent on another connection.
    copies: u8,
}

/// The future of an answer.
trait Answer<R: Request>: Future<Output = Result<R::Output, Error>> + Send {}

impl<R: Request, F: Future<Output = Result<R::Output, Error>> + Send> Answer<R> for F {}

/// Sends a request. Its ticket is given back with the answer.
fn answer_to<'a, R: Request>(
    request: &R,
    pipeline: &'a Pipeline,
    ticket: Ticket,
) -> impl Answer<R> + use<'a, R> {
    request.send(pipeline.connection()).map(move |answer| {
        ticket.answered(answer.is_ok());
        answer
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
    /// A connection whose oldest answer is not late.
    fn unstalled(&self) -> Option<&Arc<Pipeline>> {
        self.open.iter().find(|pipeline| !pipeline.is_closed() && !pipeline.is_late())
    }

    /// The connection for the next request.
    fn best(&self) -> Option<&Arc<Pipeline>> {
        let shortest = || self.open.iter().min_by_key(|pipeline| pipeline.unanswered());
        self.unstalled().or_else(shortest)
    }

    /// Whether all are stalled and there may be more, or one has reached its lifetime.
    fn wants_another(&self, limit: usize, lifetime: Duration) -> bool {
        let more = self.open.len() < limit && self.unstalled().is_none();
        let is_old = |pipeline: &Arc<Pipeline>| pipeline.is_older_than(lifetime);
        !self.is_shut_down && (more || self.open.iter().any(is_old))
    }
}

/// Opens a connection and adds it to the others, in place of those that have reached their
/// lifetime.
async fn open(connector: Connector, pipelines: Arc<Mutex<Pipelines>>) -> Result<(), DownReason> {
    let outcome = connector.open().await;
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
            pipelines.open.retain(|open| !Arc::ptr_eq(open, &pipeline));
            return;
        }
    }
}
