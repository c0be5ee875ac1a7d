//! The timeline of a server.

use std::time::Duration;

use tokio_postgres::Client;

use crate::LabError;
use crate::server_process::ServerProcess;

/// For a server to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// The timeline that a primary writes, or the newest of which a replica has received something.
/// Until a new primary's first checkpoint only the name of the log file tells its timeline. For a
/// replica that is not connected any more the names of its log files tell it.
const TIMELINE: &str = "SELECT CASE WHEN pg_is_in_recovery() THEN GREATEST( \
        (SELECT received_tli FROM pg_stat_wal_receiver), \
        (SELECT max(('x' || left(name, 8))::bit(32)::int) FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$'), \
        (SELECT timeline_id FROM pg_control_checkpoint())) \
    ELSE ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int END";

impl ServerProcess {
    /// The timeline that a primary writes, or the newest of which a replica has received something.
    pub(crate) async fn timeline(&self) -> Result<u32, LabError> {
        self.timeline_by(&self.session("tell its timeline").await?).await
    }

    /// The same, by a session on this server.
    pub(crate) async fn timeline_by(&self, session: &Client) -> Result<u32, LabError> {
        let row =
            self.within(ANSWER, "tell its timeline", session.query_one(TIMELINE, &[])).await?;
        Ok(row.get::<_, i32>(0).cast_unsigned())
    }
}
