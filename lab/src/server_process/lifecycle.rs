//! Starting and stopping a server.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};

use parking_lot::Mutex;
use tokio::time::sleep;

use crate::poll::POLL;
use crate::process::Shutdown;
use crate::server_process::{ServerProcess, Upstream};
use crate::world_context::WorldContext;
use crate::{LabError, port};

/// How many ports are tried, as another program may take one before the server binds it.
const PORTS_TRIED: usize = 5;

impl ServerProcess {
    /// Starts a server on a port of its own. A primary's data exists already.
    pub(crate) async fn launch(
        context: Arc<WorldContext>,
        region: String,
        data: PathBuf,
        upstream: Option<Upstream>,
    ) -> Result<Arc<Self>, LabError> {
        let (lag, process, changing) =
            (AtomicU64::new(0), Mutex::new(None), tokio::sync::Mutex::new(()));
        let mut server = Self {
            region,
            port: 0,
            context,
            data,
            upstream: Mutex::new(upstream),
            lag,
            clock: AtomicI64::new(0),
            process,
            changing,
        };
        let mut attempts = PORTS_TRIED;
        loop {
            attempts -= 1;
            server.port = port::reserve()?.local_addr().map_or(0, |address| address.port());
            match server.start().await {
                Err(LabError::PortTaken { .. }) if attempts > 0 => {}
                started => return started.map(|()| Arc::new(server)),
            }
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.process().as_mut().is_some_and(|process| process.exited().is_none())
    }

    pub(crate) async fn start(&self) -> Result<(), LabError> {
        let _changing = self.changing.lock().await;
        if self.is_running() {
            return Ok(());
        }
        match self.upstream() {
            None => self.run().await,
            Some(upstream) => self.start_as_replica(&upstream).await,
        }
    }

    pub(crate) async fn stop(&self) {
        self.halt(Shutdown::Fast).await;
    }

    pub(crate) async fn halt(&self, how: Shutdown) {
        let _changing = self.changing.lock().await;
        self.halt_now(how).await;
    }

    pub(super) async fn halt_now(&self, how: Shutdown) {
        while self.process().as_mut().is_some_and(|process| !process.stop(how)) {
            sleep(POLL).await;
        }
        *self.process() = None;
    }
}
