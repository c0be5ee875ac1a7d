//! Positions in the log: where a server is, and waiting for, or holding back, its replay.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_postgres::types::PgLsn;

use crate::LabError;
use crate::process::POLL;
use crate::server::{Server, end_of_record};

/// On a primary the end of what was written, also of what no commit has flushed yet.
const POSITION: &str = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() \
                        ELSE pg_current_wal_insert_lsn() END, \
                        CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END";

/// A commit of nothing, which has everything before it flushed. An insert position may end with a record that no commit
/// follows (a page pruned by a SELECT, for one), and then nobody sends it for up to 15 seconds.
const FLUSH: &str = "SELECT CASE WHEN NOT pg_is_in_recovery() THEN pg_logical_emit_message(true, 'archipelago-lab', '') END";

/// Where that commit ends, or a later one.
const FLUSHED: &str = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END";

/// An idle replica looks at the request when it is woken, which the request does.
const PAUSE: Duration = Duration::from_secs(10);

impl Server {
    /// How far this server is: the end of the log on a primary, what was replayed on a replica.
    /// Taken on the primary after a commit, it is a position that contains this commit.
    ///
    /// # Errors
    /// When the server is stopped or does not answer.
    pub async fn position(&self) -> Result<PgLsn, LabError> {
        let doing = "tell its position";
        let session = self.machine.session(doing).await?;
        session.execute(FLUSH, &[]).await.map_err(self.machine.failed_to(doing))?;
        let row = session.query_one(FLUSHED, &[]).await.map_err(self.machine.failed_to(doing))?;
        Ok(row.get::<_, Option<PgLsn>>(0).unwrap_or(PgLsn::from(0)))
    }

    /// Waits until everything up to this position can be read here, at most this long.
    ///
    /// A position of one's own should come from [`position`](Self::position): what `pg_current_wal_insert_lsn()` says may not
    /// have been flushed, and is not sent before it is.
    ///
    /// # Errors
    /// [`LabError::NotReplayed`], which says how far it got, when the time is over.
    pub async fn wait_until_replayed(
        &self,
        position: PgLsn,
        deadline: Duration,
    ) -> Result<(), LabError> {
        let until = Instant::now() + deadline;
        let position = end_of_record(position);
        let (mut reached, mut paused) = (None, false);
        // The deadline holds for a server that accepts a connection and says nothing, too.
        let waited = timeout_at(until, async {
            let doing = "tell its position";
            let session = self.machine.session(doing).await?;
            loop {
                let row = session
                    .query_one(POSITION, &[])
                    .await
                    .map_err(self.machine.failed_to(doing))?;
                reached = row.get::<_, Option<PgLsn>>(0);
                paused = row.get(1);
                if reached.is_some_and(|lsn| lsn >= position) {
                    return Ok(());
                }
                sleep(POLL).await;
            }
        });
        waited.await.unwrap_or_else(|_| {
            let region = self.region().to_owned();
            Err(LabError::NotReplayed {
                region,
                wanted: position,
                reached,
                paused,
                waited: deadline,
            })
        })
    }

    /// Stops replay exactly here: the replica still receives, and still answers, but shows nothing
    /// newer until [`resume_replay`](Self::resume_replay) or a restart.
    ///
    /// # Errors
    /// [`LabError::NoReplica`]; when it does not answer, or does not pause, within ten seconds; [`LabError::Shared`] in a test on
    /// shared servers.
    pub async fn pause_replay(&self) -> Result<(), LabError> {
        let doing = "pause its replay";
        let machine = self.breakable("pause a replica")?;
        self.check_replica()?;
        let session = machine.session(doing).await?;
        let failed = machine.failed_to(doing);
        let pausing = async {
            session.execute("SELECT pg_wal_replay_pause()", &[]).await.map_err(&failed)?;
            loop {
                let row = session.query_one("SELECT pg_get_wal_replay_pause_state()", &[]).await;
                if row.map_err(&failed)?.get::<_, String>(0) == "paused" {
                    return Ok(());
                }
                sleep(POLL).await;
            }
        };
        let not_paused =
            |_| Err(LabError::NotPaused { region: self.region().to_owned(), waited: PAUSE });
        timeout(PAUSE, pausing).await.unwrap_or_else(not_paused)
    }

    /// Goes on replaying after [`pause_replay`](Self::pause_replay).
    ///
    /// # Errors
    /// [`LabError::NoReplica`]; when it does not answer within ten seconds.
    pub async fn resume_replay(&self) -> Result<(), LabError> {
        let doing = "resume its replay";
        self.check_replica()?;
        let session = self.machine.session(doing).await?;
        let resuming = session.execute("SELECT pg_wal_replay_resume()", &[]);
        self.machine.within(PAUSE, doing, resuming).await.map(drop)
    }
}
