//! Starting and stopping a server.

use std::sync::{Arc, Mutex};

use tokio::time::sleep;

use crate::process::{Halt, POLL};
use crate::server::Server;
use crate::site::Site;
use crate::{LabError, port};

impl Server {
    /// Starts a server with a port of its own; the data of a primary is there already.
    pub(crate) async fn launch(site: Arc<Site>, region: String, upstream: Option<u16>) -> Result<Self, LabError> {
        let mut server =
            Self { region, port: 0, upstream, site, process: Mutex::new(None), changing: tokio::sync::Mutex::new(()) };
        let mut attempts = 5;
        loop {
            attempts -= 1;
            server.port = port::reserve()?.local_addr().map_or(0, |address| address.port());
            match server.start().await {
                Err(LabError::PortTaken { .. }) if attempts > 0 => {}
                started => return started.map(|()| server),
            }
        }
    }

    /// Whether the server's process is there.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.process().as_mut().is_some_and(|process| process.exited().is_none())
    }

    /// Starts the server again, on the same port. Returns when it accepts connections and, for a
    /// replica whose primary runs, when it streams and has replayed where the primary was. A replica
    /// that cannot follow its primary any more is made anew. A running server is left alone.
    ///
    /// # Errors
    /// [`LabError::DidNotStart`] with the end of the server's log; [`LabError::PortTaken`].
    pub async fn start(&self) -> Result<(), LabError> {
        let _changing = self.changing.lock().await;
        if self.is_running() {
            return Ok(());
        }
        match self.upstream {
            None => self.run().await,
            Some(upstream) => self.follow(upstream).await,
        }
    }

    /// Stops the server as an operator would (fast: sessions end, the log is flushed and sent).
    /// Returns when it is gone; a server that does not obey within 20 seconds is killed.
    ///
    /// # Errors
    /// None today: every server can be killed.
    pub async fn stop(&self) -> Result<(), LabError> {
        self.halt(Halt::Fast).await;
        Ok(())
    }

    pub(crate) async fn halt(&self, how: Halt) {
        let _changing = self.changing.lock().await;
        self.halt_now(how).await;
    }

    pub(super) async fn halt_now(&self, how: Halt) {
        while self.process().as_mut().is_some_and(|process| !process.stop(how)) {
            sleep(POLL).await;
        }
        *self.process() = None;
    }
}
