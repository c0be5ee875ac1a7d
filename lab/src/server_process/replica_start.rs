//! The start of a replica: data that can follow its primary, and catching up with it.

use std::fmt;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::time::{sleep, timeout};
use tokio_postgres::types::PgLsn;

use crate::LabError;
use crate::cleanup::orphans;
use crate::data_dir::{self, control_file};
use crate::poll::POLL;
use crate::process::Shutdown;
use crate::server_process::{CANNOT_FOLLOW, ServerProcess, Upstream, end_of_record, session};

/// For a replica to catch up with its primary, without the round trips.
const PATIENCE: Duration = Duration::from_mins(1);

/// For a primary to tell its position; a frozen one never does.
const ANSWER: Duration = Duration::from_secs(5);

/// What a replica logs when its primary has agreed to stream. (`pg_stat_wal_receiver` shows it a
/// few round trips too early.)
const STREAMS: &str = "started streaming WAL";

/// The round-trip time from which on no replica can sign in: that takes three round trips, and
/// PostgreSQL ends it after a minute (`authentication_timeout`).
const TOO_SLOW_TO_SIGN_IN: Duration = Duration::from_secs(20);

/// How a server got the data of the primary that it follows now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rejoined {
    /// By `pg_rewind`, which replaces only what differs, if anything does.
    Rewound,
    /// By a new base backup, which replaces everything.
    Copied,
}

impl fmt::Display for Rejoined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rewound => "rewound by pg_rewind",
            Self::Copied => "made anew by a base backup",
        })
    }
}

impl ServerProcess {
    /// Starts a replica, and makes its data if there is none that can follow the primary.
    pub(super) async fn start_as_replica(&self, upstream: &Upstream) -> Result<(), LabError> {
        orphans::stop_server_on(&self.data).await?;
        let own = control_file::system_identifier(&self.data);
        if own.is_some() && own == control_file::system_identifier(&upstream.data) {
            match self.run_and_catch_up(upstream).await {
                Err(error @ LabError::DidNotStart { .. }) => {
                    tracing::info!(
                        region = self.region,
                        "the replica cannot follow its primary, so its data is made anew"
                    );
                    tracing::debug!(%error, region = self.region);
                    self.halt_now(Shutdown::Immediate).await;
                }
                started => return started,
            }
        }
        self.copy(upstream).await
    }

    /// Makes this server a replica, whatever it was before.
    pub(crate) async fn rejoin(&self, upstream: Upstream) -> Result<Rejoined, LabError> {
        let _changing = self.changing.lock().await;
        self.halt_now(Shutdown::Fast).await;
        orphans::stop_server_on(&self.data).await?;
        self.set_upstream(Some(upstream.clone()));
        let rewound = async {
            // Two histories on one timeline look alike to `pg_rewind`.
            let [own, primary] = [&self.data, &upstream.data].map(|it| control_file::timeline(it));
            if own >= primary {
                return self.copy(&upstream).await.map(|()| Rejoined::Copied);
            }
            data_dir::rewind(&self.context, &self.region, &self.data, upstream.port).await?;
            self.run_and_catch_up(&upstream).await.map(|()| Rejoined::Rewound)
        };
        match rewound.await {
            // Or it runs, and its data is sound.
            done @ (Ok(_) | Err(LabError::NotCaughtUp { .. })) => done,
            Err(error) => {
                tracing::info!(
                    region = self.region,
                    "the server cannot be rewound, so its data is made anew"
                );
                tracing::debug!(%error, region = self.region);
                self.halt_now(Shutdown::Immediate).await;
                self.copy(&upstream).await.map(|()| Rejoined::Copied)
            }
        }
    }

    async fn copy(&self, upstream: &Upstream) -> Result<(), LabError> {
        data_dir::base_backup(&self.context, &self.region, &self.data, upstream.port).await?;
        self.run_and_catch_up(upstream).await
    }

    async fn run_and_catch_up(&self, upstream: &Upstream) -> Result<(), LabError> {
        let logged = self.log_length();
        // Without its primary a replica can start, but not prove that it follows.
        let target = timeout(ANSWER, position(upstream.port, &self.context.passwords.admin))
            .await
            .ok()
            .flatten();
        self.run().await?;
        match target {
            // A replica that holds back its replay is not waited for.
            Some(target) if self.lag().is_zero() => {
                self.wait_until_caught_up(upstream, target, logged).await
            }
            _ => Ok(()),
        }
    }

    /// Waits until this replica streams from its primary and has replayed this position, unless the
    /// link between them lets no replication through.
    async fn wait_until_caught_up(
        &self,
        upstream: &Upstream,
        target: PgLsn,
        logged: u64,
    ) -> Result<(), LabError> {
        let doing = "tell whether it streams";
        let session = self.session(doing).await?;
        let since = Instant::now();
        loop {
            if self.is_cut_off_from(upstream) {
                // It will stream once the link is healed.
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
            let said = self.logged_since(logged);
            if said.contains(STREAMS) && reached.is_some_and(|lsn| lsn >= target) {
                return Ok(());
            }
            if CANNOT_FOLLOW.iter().any(|phrase| said.contains(phrase)) {
                return Err(self.did_not_start("it cannot follow its primary", logged));
            }
            // Computed in each round, as the link may become slower meanwhile.
            let patience = self.patience_for(upstream, PATIENCE);
            if since.elapsed() > patience {
                let (region, primary) = (self.region.clone(), upstream.region.clone());
                return Err(LabError::NotCaughtUp { region, primary, waited: patience });
            }
            sleep(POLL).await;
        }
    }

    /// Whether the link to the primary lets no replication through: it is cut, or too slow to sign
    /// in.
    pub(super) fn is_cut_off_from(&self, upstream: &Upstream) -> bool {
        self.context.links.is_cut(&self.region, &upstream.region)
            || self.round_trip_to(upstream) >= TOO_SLOW_TO_SIGN_IN
    }
}

/// The position of a primary, if it answers.
async fn position(primary: u16, password: &str) -> Option<PgLsn> {
    let primary = session::open(primary, password).await.ok()?;
    let row = primary.query_one("SELECT pg_current_wal_insert_lsn()", &[]).await.ok()?;
    Some(end_of_record(row.get(0)))
}
