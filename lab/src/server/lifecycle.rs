//! Starting and stopping a server.

use std::fs::File;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::time::sleep;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::PgLsn;

use crate::process::{Halt, Launch, POLL};
use crate::server::position::end_of_record;
use crate::server::{Server, log};
use crate::site::Site;
use crate::{LabError, cluster, port, session, settings, stale};

/// For a server to accept connections, recovery after a crash included, and for a replica to
/// catch up with its primary.
const PATIENCE: Duration = Duration::from_mins(1);

/// A server that was killed may still have children for a moment, and they hold its memory.
const LINGERING: [&str; 2] = ["pre-existing shared memory block", "lock file \"postmaster.pid\" already exists"];

/// What a replica logs that can never follow this primary again, whatever it waits for.
const HOPELESS: [&str; 6] = [
    "database system identifier differs",
    "has already been removed",
    "highest timeline",
    "forked off current database system timeline",
    "is ahead of the WAL flush position",
    "is not in this server's history",
];

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

    async fn halt_now(&self, how: Halt) {
        while self.process().as_mut().is_some_and(|process| !process.stop(how)) {
            sleep(POLL).await;
        }
        *self.process() = None;
    }

    /// Starts a replica; makes its data where there is none that can follow the primary.
    async fn follow(&self, upstream: u16) -> Result<(), LabError> {
        let (site, data) = (&*self.site, self.data());
        stale::stop_server_on(&data).await?;
        let own = cluster::system_identifier(&data);
        let same = own.is_some() && own == cluster::system_identifier(&site.place.primary());
        if same {
            match self.run_and_stream(upstream).await {
                Err(error @ LabError::DidNotStart { .. }) => {
                    tracing::warn!(%error, "making the data of this replica anew");
                    self.halt_now(Halt::Immediate).await;
                }
                started => return started,
            }
        }
        cluster::base_backup(site, &self.region, upstream).await?;
        self.run_and_stream(upstream).await
    }

    async fn run_and_stream(&self, upstream: u16) -> Result<(), LabError> {
        let logged = log_length(self);
        // Without its primary a replica can start, but not prove that it follows.
        let target = match session::open(upstream, &self.site.secrets.admin).await {
            Ok(primary) => {
                let position = primary.query_one("SELECT pg_current_wal_insert_lsn()", &[]).await;
                position.ok().map(|row| end_of_record(row.get(0)))
            }
            Err(_) => None,
        };
        self.run().await?;
        match target {
            Some(target) => self.stream(target, logged).await,
            None => Ok(()),
        }
    }

    /// Waits until this replica receives from its primary, and has replayed this position.
    async fn stream(&self, target: PgLsn, logged: u64) -> Result<(), LabError> {
        const QUESTION: &str = "SELECT pg_last_wal_replay_lsn(), \
            EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')";
        let session = self.session("tell whether it streams").await?;
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            let Ok(row) = session.query_one(QUESTION, &[]).await else {
                return Err(self.did_not_start("it ended while it caught up", logged));
            };
            let reached: Option<PgLsn> = row.get(0);
            if row.get(1) && reached.is_some_and(|lsn| lsn >= target) {
                return Ok(());
            }
            let said = log::since(&self.log(), logged);
            if HOPELESS.iter().any(|phrase| said.contains(phrase)) {
                return Err(self.did_not_start("it cannot follow its primary", logged));
            }
            sleep(POLL).await;
        }
        Err(self.did_not_start(&format!("it has not caught up within {PATIENCE:?}"), logged))
    }

    /// Runs the server on its data, and returns when it accepts connections.
    async fn run(&self) -> Result<(), LabError> {
        let data = self.data();
        stale::stop_server_on(&data).await?;
        settings::write(&self.site, &data, &self.region, self.upstream)?;
        let since = Instant::now();
        loop {
            let logged = log_length(self);
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
        let (site, data) = (&*self.site, self.data());
        let log = self.log();
        let program = site.postgres.bin().join("postgres");
        let launch = Launch {
            account: &site.place.account,
            program: &program,
            folder: &site.place.home,
            log: File::options().create(true).append(true).open(&log).map_err(LabError::file("write", &log))?,
            at_end: site.at_end(),
            sweeper: site.place.sweeper.as_ref(),
        };
        let port = self.port.to_string();
        let arguments = ["-p".as_ref(), port.as_ref(), "-D".as_ref(), data.as_os_str()];
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
        let why = format!("it accepts no connections after {PATIENCE:?}");
        Err(self.did_not_start(&why, logged))
    }

    fn did_not_start(&self, why: &str, logged: u64) -> LabError {
        let log = self.log();
        let tail = log::tail(&log, logged);
        LabError::DidNotStart { region: self.region.clone(), why: why.to_owned(), log, tail }
    }
}

fn log_length(server: &Server) -> u64 {
    server.log().metadata().map_or(0, |log| log.len())
}
