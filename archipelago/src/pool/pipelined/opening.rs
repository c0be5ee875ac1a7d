//! Opens the connections that a runtime's reads share: the first one, and others while one is
//! stalled.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};

use super::PipelinedPool;
use super::list::{Opening, Pipelines};
use crate::connection::Connector;
use crate::error::DownReason;
use crate::pool::pipeline::{Pipeline, SLACK};
use crate::pool::slots::{Slot, Slots, Usage};

/// The pause after a failed attempt to open another connection beside one that works.
const PAUSE: Duration = Duration::from_secs(1);

impl PipelinedPool {
    /// Opens a connection beside those that work if they are still stalled a moment later: this
    /// runtime may have been busy and not have read the answers that are there.
    pub(super) fn open_another_if_wanted(&self, pipelines: &mut Pipelines) {
        let lifetime = self.connector.timeouts.lifetime;
        let is_time = pipelines.opening.is_none() && pipelines.next_opening <= Instant::now();
        if is_time && self.slots.has_free() && pipelines.wants_another(lifetime) {
            let (connector, shared) = (self.connector.clone(), self.pipelines.clone());
            let slots = self.slots.clone();
            let attempt = async move {
                sleep(SLACK).await;
                let slot = slots.try_take(Usage::SharedReads);
                match slot.filter(|_| shared.lock().wants_another(lifetime)) {
                    Some(slot) => open(connector, slots, shared, slot).await,
                    None => {
                        shared.lock().opening = None;
                        slots.opened.notify_waiters();
                        Ok(())
                    }
                }
            };
            pipelines.opening = Some(self.io.spawn(attempt).boxed().shared());
        }
    }

    pub(super) fn opening(&self, slot: Slot) -> Opening {
        let (connector, slots) = (self.connector.clone(), self.slots.clone());
        let attempt = open(connector, slots, self.pipelines.clone(), slot);
        self.io.spawn(attempt).boxed().shared()
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
    let outcome = slots.open(&connector, slot).await;
    let timeouts = connector.timeouts;
    let mut opened = pipelines.lock();
    opened.opening = None;
    match outcome {
        Ok(connection) => {
            opened.open.retain(|pipeline| !pipeline.is_older_than(timeouts.lifetime));
            if !opened.is_shut_down {
                let pipeline = Pipeline::new(connection, timeouts.answer(), slots.clone());
                let pipeline = Arc::new(pipeline);
                let (weak, list) = (Arc::downgrade(&pipeline), Arc::downgrade(&pipelines));
                tokio::spawn(close_when_idle(timeouts.idle, pipeline.retired(), weak, list));
                opened.open.push(pipeline);
            }
            drop(opened);
            slots.opened.notify_waiters();
            Ok(())
        }
        Err(reason) => {
            opened.next_opening = Instant::now() + PAUSE;
            drop(opened);
            slots.opened.notify_waiters();
            Err(reason)
        }
    }
}

/// Removes a connection from the others once it is retired, or has been idle for `limit`.
async fn close_when_idle(
    limit: Duration,
    retired: Arc<Notify>,
    pipeline: Weak<Pipeline>,
    pipelines: Weak<Mutex<Pipelines>>,
) {
    let mut next = Instant::now() + limit;
    loop {
        let is_retired = timeout_at(next, retired.notified()).await.is_ok();
        let (Some(pipeline), Some(pipelines)) = (pipeline.upgrade(), pipelines.upgrade()) else {
            return;
        };
        // No request enters while the list is locked.
        let mut pipelines = pipelines.lock();
        let now = Instant::now();
        next = pipeline.idle_since().unwrap_or(now) + limit;
        if is_retired || next <= now {
            pipeline.retire();
            pipelines.open.retain(|open| !Arc::ptr_eq(open, &pipeline));
            return;
        }
    }
}
