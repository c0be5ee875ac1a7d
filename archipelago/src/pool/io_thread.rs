//! The thread that opens connections, and drives those that a runtime leaves behind: each outlives the
//! runtimes of its users.

use std::io;
use std::thread;

use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::error::DownReason;

/// A thread with a runtime. It starts with its first use, and ends when this is dropped.
#[derive(Default)]
pub(crate) struct IoThread(Mutex<Option<Running>>);

struct Running {
    runtime: Handle,
    _stop: DropGuard,
}

impl IoThread {
    /// The runtime of the thread. Fails where the system has no thread for it.
    pub(super) fn runtime(&self) -> io::Result<Handle> {
        let mut running = self.0.lock();
        if let Some(Running { runtime, .. }) = &*running {
            return Ok(runtime.clone());
        }
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (handle, stop) = (runtime.handle().clone(), CancellationToken::new());
        let stopped = stop.clone();
        let run = move || runtime.block_on(stopped.cancelled());
        thread::Builder::new().name("archipelago i/o".to_owned()).spawn(run)?;
        *running = Some(Running { runtime: handle.clone(), _stop: stop.drop_guard() });
        Ok(handle)
    }

    /// Spawns an attempt to connect there: it goes on when its callers leave, or their runtimes end.
    /// One that panics has failed.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        attempt: impl Future<Output = Result<T, DownReason>> + Send + 'static,
    ) -> impl Future<Output = Result<T, DownReason>> + Send + 'static {
        let task = self.runtime().map(|runtime| runtime.spawn(attempt));
        async {
            let opened = task.map_err(|error| DownReason::refused(&error))?.await;
            opened.unwrap_or_else(|stopped| Err(DownReason::refused(&stopped)))
        }
    }
}
