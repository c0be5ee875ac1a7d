//! The signals that end a command: the first asks for an end in order, a second Ctrl-C for an end at once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Failed, say};

/// From now on Ctrl-C and SIGTERM are heard here, and do not end the program by themselves.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(crate) fn heard() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for one.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// Ends what serves requests, unless Ctrl-C comes once more.
    pub(crate) async fn finish(mut self, end: impl Future<Output = ()>) -> Result<(), Failed> {
        let _ = say("\nFinishing the requests in flight …\n");
        tokio::select! {
            () = end => Ok(()),
            _ = self.interrupt.recv() => Err("stopped at once by a second Ctrl-C".into()),
        }
    }
}
