//! The signals that end a command: the first starts an orderly shutdown, a second Ctrl-C ends at
//! once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::console::{CommandError, print_status};

/// Ctrl-C and SIGTERM, received here instead of ending the program.
pub(crate) struct ShutdownSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl ShutdownSignals {
    /// From now on neither signal ends the program by itself.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for either of them.
    pub(crate) async fn recv(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// Runs `shutdown` to its end, unless another Ctrl-C comes first.
    pub(crate) async fn shut_down(
        mut self,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), CommandError> {
        let _ = print_status("\nFinishing the requests in flight …\n");
        tokio::select! {
            () = shutdown => Ok(()),
            _ = self.interrupt.recv() => Err("stopped at once by a second Ctrl-C".into()),
        }
    }
}
