//! What all visitors of a round share.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use crate::workload::register::Row;

/// How visitors visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// As they please, and every now and then from another region.
    Roaming,
    /// As they please, from where they are.
    Staying,
    /// From where they are: they write only when the server there shows all that they know of, and then look at once.
    Watchful,
}

/// What all visitors of a round share.
#[derive(Debug)]
pub struct Site {
    /// The edge's.
    pub url: String,
    /// Where they may stand.
    pub regions: Vec<String>,
    /// How they visit.
    pub manner: Manner,
    /// When the round began.
    pub began: Instant,
    /// The users who are known to everybody, by their ids.
    pub known: Mutex<Vec<(i64, Row)>>,
    /// True when it is time to go.
    pub end: watch::Receiver<bool>,
}

impl Site {
    pub(super) fn known(&self) -> MutexGuard<'_, Vec<(i64, Row)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
