//! Connections that the reads of one thread share: usually one carries them all, and others help while a slow query holds it up.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, select};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::lock;
use super::pipeline::{PATIENCE, Pipeline, Standing, Ticket};
use crate::Error;
use crate::connect::{ConnectError, Connector};
use crate::question::Question;

/// Questions that one connection may owe answers to, on average. More callers than that wait for a place.
const DEPTH: usize = 64;

/// How often a question that is stuck is sent on another connection.
const COPIES: u8 = 2;

/// How long to wait with another attempt after a connection that would only have helped could not be opened.
const PAUSE: Duration = Duration::from_secs(1);

/// A thread's shared connections, at most `most`.
pub(super) struct Shared {
    connector: Connector,
    most: usize,
    places: Arc<Semaphore>,
    state: Arc<Mutex<State>>,
}

struct State {
    pipelines: Vec<Arc<Pipeline>>,
    opening: Option<Opening>,
    /// Not before this moment is another connection opened beside one that works.
    next_opening: Instant,
    shut_down: bool,
}

/// The one attempt to connect that is going on. Whoever has no connection waits for it.
type Opening = futures_util::future::Shared<BoxFuture<'static, Result<(), ConnectError>>>;

impl Shared {
    pub(super) fn new(connector: Connector, size: u32) -> Self {
        let most = usize::try_from(size).unwrap_or(usize::MAX);
        let places =
            Arc::new(Semaphore::new(most.saturating_mul(DEPTH).min(Semaphore::MAX_PERMITS)));
        let state = State {
            pipelines: Vec::new(),
            opening: None,
            next_opening: Instant::now(),
            shut_down: false,
        };
        Self { connector, most, places, state: Arc::new(Mutex::new(state)) }
    }

    pub(super) fn count(&self) -> (u32, u32) {
        let state = lock(&self.state);
        let open = state.pipelines.iter().filter(|pipeline| !pipeline.is_closed());
        open.fold((0, 0), |(open, idle), pipeline| {
            (open + 1, idle + u32::from(pipeline.idle_since().is_some()))
        })
    }

    pub(super) fn close(&self) {
        let mut state = lock(&self.state);
        state.shut_down = true;
        // Those who wait for an answer keep their connection until they have it.
        state.pipelines.clear();
    }

    /// Asks on a shared connection. Where a slow query is in front, the question is sent on another connection as well, and the
    /// first answer counts: a slow query holds up others for some milliseconds and not for its whole time. Ends when the server is
    /// known to be down.
    pub(super) async fn ask<Q: Question>(&self, question: &Mutex<Q>) -> Result<Q::Answer, Error> {
        let is_held_up = AtomicBool::new(true);
        let asked = async {
            let ticket = self.enter().await?;
            is_held_up.store(false, Ordering::Relaxed);
            self.ask_with(
                ticket,
                question,
                Instant::now() + self.connector.timeouts.answer(),
                COPIES,
                &is_held_up,
            )
            .await
        };
        // Nearly every answer is there before it could be late, and is spared the timer. The two are polled together.
        let late = self.connector.health.gone();
        let gone = async {
            poll_fn(|_| {
                if is_held_up.load(Ordering::Relaxed) { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            late.await
        };
        tokio::select! {
            biased;
            answer = asked => answer,
            waited = gone => {
                // What the others are owed will not come, either.
                lock(&self.state).pipelines.drain(..).for_each(|pipeline| pipeline.retire());
                Err(Error::Timeout { region: self.connector.region, waited })
            }
        }
    }

    async fn ask_with<Q: Question>(
        &self,
        ticket: Ticket,
        question: &Mutex<Q>,
        deadline: Instant,
        copies: u8,
        is_held_up: &AtomicBool,
    ) -> Result<Q::Answer, Error> {
        let (pipeline, standing) = (ticket.pipeline().clone(), ticket.watch());
        let mut answer = pin!(async move {
            let sent = lock(question).send(ticket.connection());
            let answer = sent.await;
            ticket.answered(answer.is_ok());
            answer
        });
        let mut pause = pipeline.patience();
        let mut until = Instant::now() + pause;
        while until < deadline {
            if let Ok(answer) = timeout_at(until, &mut answer).await {
                return answer;
            }
            is_held_up.store(true, Ordering::Relaxed);
            // A thread that was busy itself may not have looked at answers that are there.
            tokio::task::yield_now().await;
            let other = match standing() {
                Standing::First => break,
                Standing::Moving => None,
                Standing::Stuck if copies == 0 => break,
                Standing::Stuck => self.enter_another(),
            };
            if let Some(ticket) = other {
                let again = self.ask_again(ticket, question, deadline, copies - 1, is_held_up);
                return match select(answer, again).await {
                    Either::Left((Ok(answer), _)) | Either::Right((Ok(answer), _)) => Ok(answer),
                    Either::Left((Err(_), again)) => again.await,
                    Either::Right((Err(_), answer)) => {
                        self.before(deadline, &pipeline, answer).await
                    }
                };
            }
            pause *= 2;
            until = Instant::now() + pause;
        }
        self.before(deadline, &pipeline, answer).await
    }

    fn ask_again<'a, Q: Question>(
        &'a self,
        ticket: Ticket,
        question: &'a Mutex<Q>,
        deadline: Instant,
        copies: u8,
        is_held_up: &'a AtomicBool,
    ) -> BoxFuture<'a, Result<Q::Answer, Error>> {
        Box::pin(self.ask_with(ticket, question, deadline, copies, is_held_up))
    }

    /// Waits for an answer no longer than the server may take. A connection that is silent for so long serves nobody any more.
    async fn before<A>(
        &self,
        deadline: Instant,
        pipeline: &Pipeline,
        answer: impl Future<Output = Result<A, Error>>,
    ) -> Result<A, Error> {
        timeout_at(deadline, answer).await.unwrap_or_else(|_| {
            pipeline.retire();
            Err(Error::Timeout {
                region: self.connector.region,
                waited: self.connector.timeouts.answer(),
            })
        })
    }

    async fn place(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, Error> {
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            return Ok(place);
        }
        let Connector { region, timeouts, .. } = self.connector;
        match timeout_at(deadline, self.places.clone().acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) => Err(Error::ShutDown { region }),
            Err(_) => Err(Error::Busy { region, waited: timeouts.checkout }),
        }
    }

    /// The end of the queue of the first connection that is not held up, or of the one that owes least.
    async fn enter(&self) -> Result<Ticket, Error> {
        let Connector { region, timeouts, .. } = self.connector;
        let deadline = Instant::now() + timeouts.checkout;
        let place = self.place(deadline).await?;
        loop {
            let opening = {
                let mut state = lock(&self.state);
                if state.shut_down {
                    return Err(Error::ShutDown { region });
                }
                state.pipelines.retain(|pipeline| !pipeline.is_closed());
                let chosen = state
                    .free()
                    .or_else(|| state.pipelines.iter().min_by_key(|pipeline| pipeline.owed()))
                    .cloned();
                if let Some(pipeline) = chosen {
                    self.open_another_if_wanted(&mut state);
                    return Ok(pipeline.enter(place));
                }
                self.opening(&mut state)
            };
            let opened = timeout_at(deadline, opening)
                .await
                .unwrap_or_else(|_| Err(ConnectError::silent(timeouts.checkout)));
            opened.map_err(|error| error.of(region))?;
        }
    }

    /// The end of the queue of a connection that is not held up. Has one opened where there is none.
    fn enter_another(&self) -> Option<Ticket> {
        let place = self.places.clone().try_acquire_owned().ok()?;
        let mut state = lock(&self.state);
        let free = state.free().cloned();
        self.open_another_if_wanted(&mut state);
        Some(free?.enter(place))
    }

    /// Opens a connection while others go on working, if they are still held up a moment later: a thread that was busy itself may
    /// not have looked yet at answers that are there.
    fn open_another_if_wanted(&self, state: &mut State) {
        let wanted = state.wants_another(self.most, self.connector.timeouts.lifetime);
        if wanted && state.opening.is_none() && state.next_opening <= Instant::now() {
            let (connector, shared, most) = (self.connector.clone(), self.state.clone(), self.most);
            state.opening = Some(spawned(async move {
                sleep(PATIENCE).await;
                if !lock(&shared).wants_another(most, connector.timeouts.lifetime) {
                    lock(&shared).opening = None;
                    return Ok(());
                }
                open(connector, shared).await
            }));
        }
    }

    fn opening(&self, state: &mut State) -> Opening {
        state
            .opening
            .get_or_insert_with(|| spawned(open(self.connector.clone(), self.state.clone())))
            .clone()
    }
}

/// An attempt that goes on when whoever waits for it leaves.
fn spawned(attempt: impl Future<Output = Result<(), ConnectError>> + Send + 'static) -> Opening {
    let task = tokio::spawn(attempt);
    async { task.await.unwrap_or_else(|stopped| Err(ConnectError::new(&stopped))) }.boxed().shared()
}

impl State {
    fn free(&self) -> Option<&Arc<Pipeline>> {
        self.pipelines.iter().find(|pipeline| !pipeline.is_closed() && !pipeline.is_late())
    }

    /// Whether all are held up and there may be more, or one has lived long enough.
    fn wants_another(&self, most: usize, lifetime: Duration) -> bool {
        let more = self.pipelines.len() < most && self.free().is_none();
        !self.shut_down
            && (more || self.pipelines.iter().any(|pipeline| pipeline.is_older_than(lifetime)))
    }
}

/// Opens a connection and adds it to the others, in the place of those that have lived long enough.
async fn open(connector: Connector, state: Arc<Mutex<State>>) -> Result<(), ConnectError> {
    let outcome = connector.open().await;
    let mut opened = lock(&state);
    opened.opening = None;
    match outcome {
        Ok(connection) => {
            opened
                .pipelines
                .retain(|pipeline| !pipeline.is_older_than(connector.timeouts.lifetime));
            if !opened.shut_down {
                let pipeline = Arc::new(Pipeline::new(connection, connector.timeouts.answer()));
                tokio::spawn(close_when_idle(
                    connector.timeouts.idle,
                    Arc::downgrade(&pipeline),
                    Arc::downgrade(&state),
                ));
                opened.pipelines.push(pipeline);
            }
            Ok(())
        }
        Err(error) => {
            opened.next_opening = Instant::now() + PAUSE;
            Err(error)
        }
    }
}

/// Takes a connection from the others once nobody has used it for so long.
async fn close_when_idle(limit: Duration, pipeline: Weak<Pipeline>, state: Weak<Mutex<State>>) {
    let mut next = Instant::now() + limit;
    loop {
        sleep_until(next).await;
        let (Some(pipeline), Some(state)) = (pipeline.upgrade(), state.upgrade()) else { return };
        // Nobody enters while the state is locked.
        let mut state = lock(&state);
        let now = Instant::now();
        next = pipeline.idle_since().unwrap_or(now) + limit;
        if next <= now {
            state.pipelines.retain(|open| !Arc::ptr_eq(open, &pipeline));
            return;
        }
    }
}
