//! A replica's start: data that can follow its primary, and catching up with it.

use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};
use tokio_postgres::types::PgLsn;

use crate::machine::{Machine, Upstream, log};
use crate::process::{Halt, POLL};
use crate::server::end_of_record;
use crate::{LabError, Rejoined, cluster, session, stale};

/// For a replica to catch up with its primary, besides the way to and fro.
const PATIENCE: Duration = Duration::from_mins(1);

/// For a primary to say where it is; a frozen one never does.
const ANSWER: Duration = Duration::from_secs(5);

/// What a replica logs when its primary has agreed to stream. (`pg_stat_wal_receiver` says so a few round trips earlier.)
const STREAMS: &str = "started streaming WAL";

/// For all that is said until a replica streams, in round trips: the sign-in, the timelines, the request.
pub(super) const EXCHANGES: u32 = 10;

/// PostgreSQL hangs up on whoever has not signed in after a minute (`authentication_timeout`), which takes three round trips.
const SLOWEST: Duration = Duration::from_secs(20);

/// What a replica logs that can never follow this primary again, whatever it waits for.
pub(super) const HOPELESS: [&str; 6] = [
    "database system identifier differs",
    "has already been removed",
    "highest timeline",
    "forked off current database system timeline",
    "is ahead of the WAL flush position",
    "is not in this server's history",
];

impl Machine {
    /// Starts a replica; makes its data where there is none that can follow the primary.
    pub(super) async fn follow(&self, upstream: &Upstream) -> Result<(), LabError> {
        stale::stop_server_on(&self.data).await?;
        let own = cluster::system_identifier(&self.data);
        let same = own.is_some() && own == cluster::system_identifier(&upstream.data);
        if same {
            match self.run_and_stream(upstream).await {
                Err(error @ LabError::DidNotStart { .. }) => {
                    tracing::info!(
                        region = self.region,
                        "it cannot follow its primary: making its data anew"
                    );
                    tracing::debug!(%error, region = self.region);
                    self.halt_now(Halt::Immediate).await;
                }
                started => return started,
            }
        }
        self.copy(upstream).await
    }

    /// Makes a replica of whatever this server was.
    pub(crate) async fn rejoin(&self, upstream: Upstream) -> Result<Rejoined, LabError> {
        let _changing = self.changing.lock().await;
        self.halt_now(Halt::Fast).await;
        stale::stop_server_on(&self.data).await?;
        self.set_upstream(Some(upstream.clone()));
        let rewound = async {
            cluster::rewind(&self.site, &self.region, &self.data, upstream.port).await?;
            self.run_and_stream(&upstream).await
        };
        match rewound.await {
            Ok(()) => Ok(Rejoined::Rewound),
            // It runs, on data that nothing is wrong with.
            Err(error @ LabError::NotCaughtUp { .. }) => Err(error),
            Err(error) => {
                tracing::info!(region = self.region, "it cannot be rewound: making its data anew");
                tracing::debug!(%error, region = self.region);
                self.halt_now(Halt::Immediate).await;
                self.copy(&upstream).await.map(|()| Rejoined::Copied)
            }
        }
    }

    async fn copy(&self, upstream: &Upstream) -> Result<(), LabError> {
        cluster::base_backup(&self.site, &self.region, &self.data, upstream.port).await?;
        self.run_and_stream(upstream).await
    }

    async fn run_and_stream(&self, upstream: &Upstream) -> Result<(), LabError> {
        let logged = self.log_length();
        // Without its primary a replica can start, but not prove that it follows.
        let target =
            timeout(ANSWER, position(upstream.port, &self.site.secrets.admin)).await.ok().flatten();
        self.run().await?;
        match target {
            // What it holds back is in nobody's way.
            Some(target) if self.lag().is_zero() => self.stream(upstream, target, logged).await,
            _ => Ok(()),
        }
    }

    /// Waits until this replica receives from its primary, and has replayed this position; not while the line between lets
    /// nobody through.
    async fn stream(
        &self,
        upstream: &Upstream,
        target: PgLsn,
        logged: u64,
    ) -> Result<(), LabError> {
        let doing = "tell whether it streams";
        let session = self.session(doing).await?;
        let since = Instant::now();
        loop {
            if self.is_apart_from(upstream) {
                // It cannot stream; it will when the line is healed.
                return Ok(());
            }
            let Ok(row) = self
                .within(PATIENCE, doing, session.query_one("SELECT pg_last_wal_replay_lsn()", &[]))
                .await
            else {
                return Err(
                    self.did_not_start("it ended, or fell silent, while it caught up", logged)
                );
            };
            let reached: Option<PgLsn> = row.get(0);
            let said = log::since(&self.log(), logged);
            if said.contains(STREAMS) && reached.is_some_and(|lsn| lsn >= target) {
                return Ok(());
            }
            if HOPELESS.iter().any(|phrase| said.contains(phrase)) {
                return Err(self.did_not_start("it cannot follow its primary", logged));
            }
            // The line may become slower meanwhile.
            let patience =
                PATIENCE.saturating_add(self.round_trip_to(upstream).saturating_mul(EXCHANGES));
            if since.elapsed() > patience {
                let (region, primary) = (self.region.clone(), upstream.region.clone());
                return Err(LabError::NotCaughtUp { region, primary, waited: patience });
            }
            sleep(POLL).await;
        }
    }

    /// Whether the line between lets no replication through: it is cut, or too slow to sign in.
    pub(super) fn is_apart_from(&self, upstream: &Upstream) -> bool {
        self.site.lines.is_cut(&self.region, &upstream.region)
            || self.round_trip_to(upstream) >= SLOWEST
    }

    pub(super) fn round_trip_to(&self, upstream: &Upstream) -> Duration {
        self.site.lines.round_trip(&self.region, &upstream.region)
    }
}

/// Where a primary is, if it answers.
async fn position(primary: u16, password: &str) -> Option<PgLsn> {
    let primary = session::open(primary, password).await.ok()?;
    let row = primary.query_one("SELECT pg_current_wal_insert_lsn()", &[]).await.ok()?;
    Some(end_of_record(row.get(0)))
}
