//! The connections that proxies carry now, so that one of them can vanish.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// A connection, as its target sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ConnectionKey {
    /// The place that it comes from.
    pub(super) from: String,
    /// Its address at the target.
    pub(super) at_target: SocketAddr,
    pub(super) target: SocketAddr,
}

#[derive(Debug, Clone, Default)]
pub(super) struct OpenConnections(Arc<Mutex<HashMap<ConnectionKey, oneshot::Sender<()>>>>);

impl OpenConnections {
    /// Adds a connection. The receiver resolves when it is to vanish.
    pub(super) fn add(&self, key: ConnectionKey) -> oneshot::Receiver<()> {
        let (vanish, vanished) = oneshot::channel();
        self.0.lock().insert(key, vanish);
        vanished
    }

    pub(super) fn remove(&self, key: &ConnectionKey) {
        self.0.lock().remove(key);
    }

    /// Lets a connection vanish; false if no proxy carries it.
    pub(super) fn vanish(&self, key: &ConnectionKey) -> bool {
        self.0.lock().remove(key).is_some_and(|vanish| vanish.send(()).is_ok())
    }
}
