//! From a data folder to a server that accepts connections.

use std::ffi::OsStr;
use std::time::{Duration, Instant};

use tokio::time::sleep;
use tokio_postgres::error::SqlState;

use crate::LabError;
use crate::cleanup::orphans;
use crate::poll::POLL;
use crate::process::{Shutdown, log};
use crate::server_process::{CANNOT_FOLLOW, ServerProcess, session};

/// For a server to accept connections, recovery after a crash included.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a server logs while children of a killed one still hold its memory.
const CHILDREN_REMAIN: [&str; 2] =
    ["pre-existing shared memory block", "lock file \"postmaster.pid\" already exists"];

impl ServerProcess {
    /// Runs the server on its data, and returns when it accepts connections.
    pub(super) async fn run(&self) -> Result<(), LabError> {
        self.run_with(&[]).await
    }

    /// The same, with settings that hold until it stops.
    pub(super) async fn run_with(&self, settings: &[&str]) -> Result<(), LabError> {
        orphans::stop_server_on(&self.data).await?;
        self.write_config_files()?;
        let since = Instant::now();
        loop {
            let logged = self.log_length();
            self.spawn(settings)?;
            let error = match self.accepts_connections(logged).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            self.halt_now(Shutdown::Immediate).await;
            let said = self.logged_since(logged);
            let retry = CHILDREN_REMAIN.iter().any(|phrase| said.contains(phrase));
            if !retry || since.elapsed() > PATIENCE {
                return Err(error);
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    fn spawn(&self, settings: &[&str]) -> Result<(), LabError> {
        let (context, port) = (&*self.context, self.port.to_string());
        let mut arguments: Vec<&OsStr> = vec!["-p".as_ref(), port.as_ref()];
        arguments.extend(["-D".as_ref(), self.data.as_os_str()]);
        arguments.extend(settings.iter().flat_map(|it| ["-c", it]).map(OsStr::new));
        let (at_end, clock) = (context.shutdown_at_end(), self.clock_variables()?);
        let process = context.spawn("postgres", &self.region, at_end, arguments, |command| {
            command.envs(clock);
        })?;
        *self.process() = Some(process);
        Ok(())
    }

    async fn accepts_connections(&self, logged: u64) -> Result<(), LabError> {
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            let running = self.is_running();
            let said = self.logged_since(logged);
            if said.contains("could not bind") {
                return Err(LabError::PortTaken { region: self.region.clone(), port: self.port });
            }
            if !running {
                return Err(self.did_not_start("it ended", logged));
            }
            if self.upstream().is_some() && CANNOT_FOLLOW.iter().any(|it| said.contains(it)) {
                return Err(self.did_not_start("it cannot follow its primary", logged));
            }
            // Before that line another program may answer on this port.
            if said.contains("listening on") {
                match session::open(self.port, &self.context.passwords.admin).await {
                    Ok(_) => return Ok(()),
                    Err(error) if error.code() == Some(&SqlState::INVALID_PASSWORD) => {
                        return Err(self.failed_to("let the lab in")(error));
                    }
                    // The server is starting up, and logs each attempt: a few are enough.
                    Err(_) => sleep(POLL * 3).await,
                }
            }
            sleep(POLL).await;
        }
        Err(self.timed_out("accept connections", PATIENCE))
    }

    pub(super) fn did_not_start(&self, why: &str, logged: u64) -> LabError {
        let log = self.log_file();
        let tail = log::tail(&log, logged);
        LabError::DidNotStart { region: self.region.clone(), why: why.to_owned(), log, tail }
    }
}
