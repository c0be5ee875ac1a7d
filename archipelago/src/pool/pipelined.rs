//! Connections that the reads of one runtime share. Usually one carries all reads; others are opened
//! while a slow query stalls it.

mod late;
mod list;
mod opening;

use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use self::late::{COPIES, Late, answer_to};
use self::list::Pipelines;
use super::io_thread::IoThread;
use super::pipeline::{Pipeline, Ticket};
use super::slots::{Slots, Usage};
use crate::connection::{Connector, Request};
use crate::error::{DownReason, Error};
use crate::timing::CheckoutTimes;

/// A runtime's shared connections.
pub(super) struct PipelinedPool {
    connector: Connector,
    slots: Arc<Slots>,
    /// Opens them.
    io: Arc<IoThread>,
    pipelines: Arc<Mutex<Pipelines>>,
    /// How many callers wait for a connection.
    waiting: AtomicU32,
    checkout_times: CheckoutTimes,
}

impl PipelinedPool {
    pub(super) fn new(
        connector: Connector,
        slots: Arc<Slots>,
        io: Arc<IoThread>,
        checkout_times: CheckoutTimes,
    ) -> Self {
        let pipelines = Arc::new(Mutex::new(Pipelines::new()));
        let lender: Weak<Mutex<Pipelines>> = Arc::downgrade(&pipelines);
        slots.add_lender(Usage::SharedReads, lender);
        Self { connector, slots, io, pipelines, waiting: AtomicU32::new(0), checkout_times }
    }

    /// How many of its connections are open and not in use.
    pub(super) fn idle(&self) -> u32 {
        let pipelines = self.pipelines.lock();
        let idle = pipelines.usable().filter(|pipeline| pipeline.idle_since().is_some());
        u32::try_from(idle.count()).unwrap_or(u32::MAX)
    }

    /// How many callers wait for a connection.
    pub(super) fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
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
        self.slots.opened.notify_waiters();
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
        let is_borrowed = ticket.is_borrowed();
        let mut answer = pin!(answer_to(request, &pipeline, ticket));
        if let Ok(answer) = timeout(pipeline.late_after(), &mut answer).await {
            return answer;
        }
        let (pool, pipeline, standing) = (self, &*pipeline, &standing);
        let copies = COPIES;
        let late = Late { pool, pipeline, standing, is_borrowed, deadline, copies, others };
        tokio::select! {
            biased;
            answer = late.wait(answer, request) => answer,
            waited = silent => Err(self.give_up(waited)),
        }
    }

    /// The server is silent, and will not answer the other callers either.
    fn give_up(&self, waited: Duration) -> Error {
        self.pipelines.lock().open.drain(..).for_each(|pipeline| pipeline.retire());
        Error::Timeout { region: self.connector.region, waited }
    }

    /// Enters the queue of the first connection that is not stalled, or else the shortest queue.
    /// Where this runtime has none with room and may open none, enters that of another runtime.
    async fn enter(&self, others: Others<'_>) -> Result<Ticket, Error> {
        let Connector { region, timeouts, .. } = self.connector;
        let deadline = Instant::now() + timeouts.checkout;
        let mut slot = None;
        let mut waited = Waited { pool: self, since: None };
        loop {
            // From here on no notification is missed.
            let (opened, room) = (self.slots.opened.notified(), self.slots.room.notified());
            let (opening, has_any, may_open, next_opening) = {
                let mut pipelines = self.pipelines.lock();
                if pipelines.is_shut_down {
                    return Err(Error::ShutDown { region });
                }
                // What is not used now goes to another caller.
                let free = slot.take();
                pipelines.open.retain(|pipeline| !pipeline.is_closed());
                if let Some(pipeline) = pipelines.best().cloned() {
                    self.open_another_if_wanted(&mut pipelines);
                    return Ok(pipeline.enter());
                }
                let has_any = !pipelines.open.is_empty();
                let may_open = !has_any || pipelines.next_opening <= Instant::now();
                if pipelines.opening.is_none() && may_open {
                    let slot = free.or_else(|| self.slots.try_take(Usage::SharedReads));
                    pipelines.opening = slot.map(|slot| self.opening(slot));
                }
                (pipelines.opening.clone(), has_any, may_open, pipelines.next_opening)
            };
            waited.wait();
            if let Some(opening) = opening.as_ref().filter(|_| !has_any) {
                let late = Err(DownReason::Silent { waited: timeouts.checkout });
                let opened = timeout_at(deadline, opening.clone()).await.unwrap_or(late);
                if opened.is_err() {
                    self.pipelines.lock().forget(opening);
                }
                opened.map_err(|reason| reason.in_region(region))?;
                continue;
            }
            if let Some(pipeline) = others() {
                return Ok(pipeline.borrow());
            }
            // Boxed: it is rare.
            let changed = Box::pin(async {
                tokio::select! {
                    free = self.slots.take(Usage::SharedReads), if opening.is_none() && may_open => {
                        Some(free)
                    }
                    () = opened => None,
                    () = room => None,
                    () = sleep_until(next_opening), if !may_open => None,
                }
            });
            slot = timeout_at(deadline, changed)
                .await
                .map_err(|_| Error::Busy { region, waited: timeouts.checkout })?;
        }
    }

    /// Enters the queue of a connection that is not stalled and has fewer than `limit` unanswered
    /// requests, of any runtime. If there is none, has one opened and returns None.
    fn enter_another(&self, others: Others<'_>, limit: usize) -> Option<Ticket> {
        let is_short = |pipeline: &Pipeline| pipeline.unanswered() < limit;
        let unstalled = {
            let mut pipelines = self.pipelines.lock();
            self.open_another_if_wanted(&mut pipelines);
            pipelines.unstalled().find(|pipeline| is_short(pipeline)).map(Pipeline::enter)
        };
        unstalled.or_else(|| {
            Some(others().filter(|other| !other.is_late() && is_short(other))?.borrow())
        })
    }
}

/// A caller that wants to enter a queue. Where it has waited, another one that waits looks for room
/// once it is gone: there may be more.
struct Waited<'a> {
    pool: &'a PipelinedPool,
    /// Since when it has waited. None while it has not.
    since: Option<Instant>,
}

impl Waited<'_> {
    fn wait(&mut self) {
        if self.since.is_none() {
            self.since = Some(Instant::now());
            self.pool.waiting.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Waited<'_> {
    fn drop(&mut self) {
        self.pool.checkout_times.record(self.since);
        if self.since.is_some() {
            self.pool.waiting.fetch_sub(1, Ordering::Relaxed);
            self.pool.slots.room.notify_one();
        }
    }
}

/// The connection of another runtime for a request of one that may open none.
pub(super) type Others<'a> = &'a (dyn Fn() -> Option<Arc<Pipeline>> + Send + Sync);
