//! Starting and stopping a server.

use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use tokio::time::sleep;

use crate::machine::{Machine, Upstream};
use crate::process::{Halt, POLL};
use crate::site::Site;
use crate::{LabError, port};

impl Machine {
    /// Starts a server with a port of its own; the data of a primary is there already.
    pub(crate) async fn launch(
        site: Arc<Site>,
        region: String,
        data: PathBuf,
        upstream: Option<Upstream>,
    ) -> Result<Arc<Self>, LabError> {
        let (lag, process, changing) =
            (AtomicU64::new(0), Mutex::new(None), tokio::sync::Mutex::new(()));
        let mut machine = Self {
            region,
            port: 0,
            site,
            data,
            upstream: Mutex::new(upstream),
            lag,
            process,
            changing,
        };
        let mut attempts = 5;
        loop {
            attempts -= 1;
            machine.port = port::reserve()?.local_addr().map_or(0, |address| address.port());
            match machine.start().await {
                Err(LabError::PortTaken { .. }) if attempts > 0 => {}
                started => return started.map(|()| Arc::new(machine)),
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
            Some(upstream) => self.follow(&upstream).await,
        }
    }

    pub(crate) async fn stop(&self) {
        self.halt(Halt::Fast).await;
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
