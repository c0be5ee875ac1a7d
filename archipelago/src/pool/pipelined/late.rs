//! A request whose answer is late: it is also sent on another connection, and the first answer counts.

use std::pin::{Pin, pin};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, select};
use tokio::time::{Instant, timeout, timeout_at};

use super::{Others, PipelinedPool};
use crate::connection::{Connector, HasLost, Load, Request};
use crate::error::{End, Error};
use crate::pool::pipeline::{DEPTH, Pipeline, Standing, Ticket};

/// How often a stuck request is sent again on another connection.
pub(super) const COPIES: u8 = 2;

/// The most unanswered requests on a connection that takes a copy. Where all queues are longer, the
/// servers are busy, and copies would only make them busier.
const SHORT: usize = 8;

/// How long nothing must have come before the server is asked whether its connection has lost the
/// answer.
const LOST: Duration = Duration::from_secs(1);

/// The longest pause between two looks for another connection.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// A request whose answer is late.
#[derive(Clone, Copy)]
pub(super) struct Late<'a> {
    pub(super) pool: &'a PipelinedPool,
    pub(super) pipeline: &'a Pipeline,
    pub(super) standing: &'a (dyn Fn() -> Standing + Send + Sync),
    /// Whether the connection belongs to another runtime.
    pub(super) is_borrowed: bool,
    pub(super) deadline: Instant,
    /// How often it may still be sent on another connection.
    pub(super) copies: u8,
    pub(super) others: Others<'a>,
}

impl<'a> Late<'a> {
    /// Waits for an answer that is late.
    pub(super) async fn wait<R: Request>(
        self,
        mut answer: Pin<&mut impl Answer<R>>,
        request: &mut R,
    ) -> Result<R::Output, Error> {
        let Self { pool, pipeline, standing, is_borrowed, deadline, copies, others } = self;
        let mut pause = pipeline.late_after();
        while Instant::now() < deadline {
            // Its runtime may stand still, now or again.
            if is_borrowed {
                pipeline.move_home();
            }
            // This thread may have been busy and not have read the answers that are there.
            tokio::task::yield_now().await;
            let other = match standing() {
                Standing::Moving => None,
                Standing::Stuck if copies > 0 => pool.enter_another(others, SHORT),
                Standing::First | Standing::Stuck => {
                    return self.wait_or_ask_again(answer, request).await;
                }
            };
            if let Some(ticket) = other {
                let copy = Self { copies: copies - 1, ..self }.ask_again(ticket, request);
                answer = match select(answer, copy).await {
                    Either::Left((Ok(answer), _)) | Either::Right((Ok(answer), _)) => {
                        return Ok(answer);
                    }
                    Either::Left((Err(_), copy)) => return copy.await,
                    Either::Right((Err(_), answer)) => answer,
                };
                return self.wait_or_ask_again(answer, request).await;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
            if let Ok(answer) = timeout_at(deadline.min(Instant::now() + pause), &mut answer).await
            {
                return answer;
            }
        }
        self.wait_until_deadline(answer).await
    }

    /// Sends the request on another connection.
    fn ask_again<R: Request>(
        self,
        ticket: Ticket,
        request: &'a mut R,
    ) -> BoxFuture<'a, Result<R::Output, Error>> {
        Box::pin(async move {
            let (pipeline, standing) = (ticket.pipeline().clone(), ticket.watch());
            let is_borrowed = ticket.is_borrowed();
            let mut answer = pin!(answer_to(request, &pipeline, ticket));
            if let Ok(answer) = timeout(pipeline.late_after(), &mut answer).await {
                return answer;
            }
            let (pipeline, standing) = (&*pipeline, &standing);
            let late = Late { pipeline, standing, is_borrowed, ..self };
            late.wait(answer, request).await
        })
    }

    /// Waits for an answer. If its connection has lost it, asks again on another one.
    async fn wait_or_ask_again<R: Request>(
        self,
        answer: Pin<&mut impl Answer<R>>,
        request: &mut R,
    ) -> Result<R::Output, Error> {
        // Boxed: it is rare.
        match Box::pin(self.wait_unless_lost(answer)).await {
            Some(answer) => answer,
            None => {
                let ticket = self.pool.enter(self.others).await?;
                Self { copies: 0, ..self }.ask_again(ticket, request).await
            }
        }
    }

    /// Waits for an answer. None where the server does not work on it, nor on a request before it:
    /// its connection lost it, and is retired.
    async fn wait_unless_lost<A>(
        self,
        mut answer: Pin<&mut impl Future<Output = Result<A, Error>>>,
    ) -> Option<Result<A, Error>> {
        let Self { pipeline, is_borrowed, deadline, .. } = self;
        let session = pipeline.connection().session();
        while Instant::now() + LOST < deadline {
            let received = session.received();
            if let Ok(answer) = timeout(LOST, &mut answer).await {
                return Some(answer);
            }
            // A long answer is under way, or its runtime stood still and has not read what came.
            let stood_still = is_borrowed && pipeline.move_home();
            if stood_still || session.received() != received {
                continue;
            }
            match select(&mut answer, pin!(self.retire_if_lost())).await {
                Either::Left((answer, _)) => return Some(answer),
                Either::Right((true, _)) => return None,
                Either::Right((false, _)) => {}
            }
        }
        Some(self.wait_until_deadline(answer).await)
    }

    /// Retires a connection that has lost a request, by what another one to the same server says.
    /// Returns whether it did; false where there is no other one yet.
    async fn retire_if_lost(self) -> bool {
        let Self { pool, pipeline, others, .. } = self;
        let Some(ticket) = pool.enter_another(others, DEPTH) else { return false };
        let other = ticket.pipeline().clone();
        if ticket.is_borrowed() {
            other.move_home();
        }
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
    async fn wait_until_deadline<A>(
        self,
        answer: impl Future<Output = Result<A, Error>>,
    ) -> Result<A, Error> {
        let Self { pool, pipeline, deadline, .. } = self;
        timeout_at(deadline, answer).await.unwrap_or_else(|_| {
            pipeline.retire();
            let Connector { region, timeouts, .. } = pool.connector;
            Err(Error::Timeout { region, waited: timeouts.answer() })
        })
    }
}

/// The future of an answer.
pub(super) trait Answer<R: Request>:
    Future<Output = Result<R::Output, Error>> + Send
{
}

impl<R: Request, F: Future<Output = Result<R::Output, Error>> + Send> Answer<R> for F {}

/// Sends a request. Its ticket is given back with the answer.
pub(super) fn answer_to<'a, R: Request>(
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
