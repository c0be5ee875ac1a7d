//! What all clients of a run share.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use crate::workload::{Register, Workload};

/// What all clients of a run share.
#[derive(Debug)]
pub struct ClientContext {
    /// The edge's URL.
    pub url: String,
    /// The regions that clients send from.
    pub regions: Vec<String>,
    /// How clients behave.
    pub workload: Workload,
    /// The start of the run, from which recorded times count.
    pub start: Instant,
    /// The users that clients have created, with their ids.
    pub created: Mutex<Vec<(i64, Register)>>,
    /// Becomes true when the run stops.
    pub stop: watch::Receiver<bool>,
}

impl ClientContext {
    /// The users that clients have created by now, with their ids.
    pub(crate) fn created(&self) -> MutexGuard<'_, Vec<(i64, Register)>> {
        self.created.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
