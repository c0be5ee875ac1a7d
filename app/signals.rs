//! The signals that end a command: the first starts an orderly shutdown, a second Ctrl-C ends at
//! once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::console::{CommandError, print_status};

/// Ctrl-C, SIGTERM and SIGHUP, received here instead of ending the program.
pub(crate) struct ShutdownSignals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    ignores_hangups: bool,
}

impl ShutdownSignals {
    /// From now on no signal of them ends the program by itself.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            ignores_hangups: false,
        })
    }

    /// SIGHUP does not stop this program: many services read their settings again then.
    pub(crate) fn ignoring_hangups(self) -> Self {
        Self { ignores_hangups: true, ..self }
    }

    /// Waits for one that stops this program.
    pub(crate) async fn recv(&mut self) {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return,
                _ = self.terminate.recv() => return,
                _ = self.hangup.recv() => {}
            }
            if !self.ignores_hangups {
                return;
            }
            tracing::warn!(
                "SIGHUP is ignored: restart this program to have it read its settings again"
            );
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
