//! The connections that a runtime's reads share, and which of them is the next request's.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::error::DownReason;
use crate::pool::pipeline::Pipeline;
use crate::pool::slots::Lender;

/// The connections of a pool, locked together.
pub(super) struct Pipelines {
    pub(super) open: Vec<Arc<Pipeline>>,
    pub(super) opening: Option<Opening>,
    /// No other connection is opened beside one that works before this moment.
    pub(super) next_opening: Instant,
    pub(super) is_shut_down: bool,
}

/// The one attempt to connect that is under way. Callers without a connection wait for it.
pub(super) type Opening = Shared<BoxFuture<'static, Result<(), DownReason>>>;

impl Pipelines {
    pub(super) fn new() -> Self {
        Self { open: Vec::new(), opening: None, next_opening: Instant::now(), is_shut_down: false }
    }

    /// Those that take requests.
    pub(super) fn usable(&self) -> impl Iterator<Item = &Arc<Pipeline>> {
        self.open.iter().filter(|pipeline| !pipeline.is_closed())
    }

    /// A connection that takes another request, and whose oldest answer is not late.
    pub(super) fn unstalled(&self) -> impl Iterator<Item = &Arc<Pipeline>> {
        self.usable().filter(|pipeline| pipeline.has_room() && !pipeline.is_late())
    }

    /// The connection for the next request. None where each is full.
    pub(super) fn best(&self) -> Option<&Arc<Pipeline>> {
        let with_room = self.usable().filter(|pipeline| pipeline.has_room());
        let shortest = || with_room.min_by_key(|pipeline| pipeline.unanswered());
        self.unstalled().next().or_else(shortest)
    }

    /// Whether all are stalled, or one has reached its lifetime.
    pub(super) fn wants_another(&self, lifetime: Duration) -> bool {
        let is_old = |pipeline: &Arc<Pipeline>| pipeline.is_older_than(lifetime);
        !self.is_shut_down && (self.unstalled().next().is_none() || self.open.iter().any(is_old))
    }

    /// Forgets an attempt that has ended, so that the next caller makes one of its own.
    pub(super) fn forget(&mut self, ended: &Opening) {
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
