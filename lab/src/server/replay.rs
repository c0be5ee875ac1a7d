//! Positions in the log: reading a server's, waiting until it has replayed one, pausing its replay.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_postgres::types::PgLsn;

use crate::LabError;
use crate::poll::POLL;
use crate::server::Server;
use crate::server_process::end_of_record;

/// On a primary, the end of what was written, flushed or not.
const POSITION: &str = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() \
                        ELSE pg_current_wal_insert_lsn() END, \
                        CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END";

/// An empty commit, which flushes everything before it. The last record may be one that no commit
/// follows, such as a page pruned by a SELECT, which a primary may not send for 15 seconds.
const FLUSH: &str = "SELECT CASE WHEN NOT pg_is_in_recovery() THEN pg_logical_emit_message(true, 'archipelago-lab', '') END";

/// The end of that commit, or of a later one.
const FLUSHED: &str = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END";

/// For a replica to pause its replay. The request wakes an idle one.
const PAUSE: Duration = Duration::from_secs(10);

impl Server {
    /// The server's position: the end of the log on a primary, the end of the replay on a replica.
    /// Read on the primary after a commit, it includes that commit.
    ///
    /// # Errors
    /// If the server is stopped or frozen, or does not answer.
    pub async fn position(&self) -> Result<PgLsn, LabError> {
        let doing = "tell its position";
        let session = self.process.session(doing).await?;
        session.execute(FLUSH, &[]).await.map_err(self.process.failed_to(doing))?;
        let row = session.query_one(FLUSHED, &[]).await.map_err(self.process.failed_to(doing))?;
        Ok(row.get::<_, Option<PgLsn>>(0).unwrap_or(PgLsn::from(0)))
    }

    /// Waits until everything up to this position can be read here, at most for `deadline`.
    ///
    /// Take the position from [`position`](Self::position): `pg_current_wal_insert_lsn()` may be
    /// ahead of what was flushed, and a primary sends only what was flushed.
    /// [`World::catch_up`](crate::World::catch_up) does both for all replicas.
    ///
    /// # Errors
    /// [`LabError::NotReplayed`], with the position that was reached, after the deadline.
    pub async fn wait_until_replayed(
        &self,
        position: PgLsn,
        deadline: Duration,
    ) -> Result<(), LabError> {
        let until = Instant::now() + deadline;
        let position = end_of_record(position);
        let (mut reached, mut paused) = (None, false);
        // The deadline also ends the wait for a server that accepts a connection and is silent.
        let waited = timeout_at(until, async {
            let doing = "tell its position";
            let session = self.process.session(doing).await?;
            loop {
                let row = session
                    .query_one(POSITION, &[])
                    .await
                    .map_err(self.process.failed_to(doing))?;
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

    /// Pauses replay: the replica receives and answers, but shows nothing newer until
    /// [`resume_replay`](Self::resume_replay) or a restart.
    ///
    /// # Errors
    /// [`LabError::NotAReplica`]; if the replica does not answer, or does not pause, within ten
    /// seconds; [`LabError::SharedServers`] in a test on shared servers.
    pub async fn pause_replay(&self) -> Result<(), LabError> {
        let doing = "pause its replay";
        let process = self.not_shared("pause a replica")?;
        self.check_replica()?;
        let session = process.session(doing).await?;
        let failed = process.failed_to(doing);
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

    /// Resumes replay after [`pause_replay`](Self::pause_replay).
    ///
    /// # Errors
    /// [`LabError::NotAReplica`]; if the replica does not answer within ten seconds.
    pub async fn resume_replay(&self) -> Result<(), LabError> {
        let doing = "resume its replay";
        self.check_replica()?;
        let session = self.process.session(doing).await?;
        let resuming = session.execute("SELECT pg_wal_replay_resume()", &[]);
        self.process.within(PAUSE, doing, resuming).await.map(drop)
    }
}
