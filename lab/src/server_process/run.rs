//! From a folder with data to a server that accepts connections.

use std::time::{Duration, Instant};

use tokio::time::sleep;
use tokio_postgres::error::SqlState;

use crate::machine::follow::HOPELESS;
use crate::machine::{Machine, log};
use crate::process::{Halt, Launch, POLL};
use crate::{LabError, session, settings, stale};

/// For a server to accept connections, recovery after a crash included.
const PATIENCE: Duration = Duration::from_mins(1);

/// A server that was killed may still have children for a moment, and they hold its memory.
const LINGERING: [&str; 2] =
    ["pre-existing shared memory block", "lock file \"postmaster.pid\" already exists"];

impl Machine {
    /// Runs the server on its data, and returns when it accepts connections.
    pub(super) async fn run(&self) -> Result<(), LabError> {
        stale::stop_server_on(&self.data).await?;
        settings::write(self)?;
        let since = Instant::now();
        loop {
            let logged = self.log_length();
            self.spawn()?;
            let error = match self.accepts_connections(logged).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            self.halt_now(Halt::Immediate).await;
            let said = log::since(&self.log(), logged);
            let lingering = LINGERING.iter().any(|phrase| said.contains(phrase));
            if !lingering || since.elapsed() > PATIENCE {
                return Err(error);
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    fn spawn(&self) -> Result<(), LabError> {
        let site = &*self.site;
        let program = site.postgres.bin().join("postgres");
        let launch = Launch {
            account: &site.place.account,
            program: &program,
            folder: &site.place.home,
            log: site.place.open_log(&self.region)?,
            at_end: site.at_end(),
            sweeper: site.place.sweeper.as_ref(),
        };
        let port = self.port.to_string();
        let arguments = ["-p".as_ref(), port.as_ref(), "-D".as_ref(), self.data.as_os_str()];
        let process = launch.spawn(arguments, |_| {});
        *self.process() = Some(process.map_err(|source| LabError::Run { program, source })?);
        Ok(())
    }

    async fn accepts_connections(&self, logged: u64) -> Result<(), LabError> {
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            let running = self.is_running();
            let said = log::since(&self.log(), logged);
            if said.contains("could not bind") {
                return Err(LabError::PortTaken { region: self.region.clone(), port: self.port });
            }
            if !running {
                return Err(self.did_not_start("it ended", logged));
            }
            if self.upstream().is_some() && HOPELESS.iter().any(|phrase| said.contains(phrase)) {
                return Err(self.did_not_start("it cannot follow its primary", logged));
            }
            // Before that, whoever answers on this port is somebody else.
            if said.contains("listening on") {
                match session::open(self.port, &self.site.secrets.admin).await {
                    Ok(_) => return Ok(()),
                    Err(error) if error.code() == Some(&SqlState::INVALID_PASSWORD) => {
                        return Err(self.failed_to("let the lab in")(error));
                    }
                    // Starting up. Each attempt leaves a line in the log: not too many.
                    Err(_) => sleep(POLL * 3).await,
                }
            }
            sleep(POLL).await;
        }
        Err(self.too_slow("accept connections", PATIENCE))
    }

    pub(super) fn did_not_start(&self, why: &str, logged: u64) -> LabError {
        let log = self.log();
        let tail = log::tail(&log, logged);
        LabError::DidNotStart { region: self.region.clone(), why: why.to_owned(), log, tail }
    }

    /// Where what it will say now begins in its log.
    pub(super) fn log_length(&self) -> u64 {
        self.log().metadata().map_or(0, |log| log.len())
    }
}
