//! A replica becomes a primary.

use std::time::Duration;

use crate::LabError;
use crate::server_process::ServerProcess;

/// Longer than the minute that PostgreSQL itself waits for a promotion.
const PATIENCE: Duration = Duration::from_secs(70);

/// Promotes, and returns the new timeline in the same answer: once the server is promoted, no
/// further question may fail.
const PROMOTE: &str = "WITH promotion AS MATERIALIZED \
    (SELECT CASE WHEN pg_is_in_recovery() THEN pg_promote(true, 60) ELSE true END AS done) \
    SELECT CASE WHEN done THEN ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int END \
    FROM promotion";

impl ServerProcess {
    /// Returns the new timeline when this replica takes writes.
    pub(crate) async fn promote(&self) -> Result<u32, LabError> {
        let doing = "become the primary";
        let _changing = self.changing.lock().await;
        let session = self.session(doing).await?;
        let promoted = self.within(PATIENCE, doing, session.query_one(PROMOTE, &[])).await?;
        let timeline = promoted
            .get::<_, Option<i32>>(0)
            .ok_or_else(|| self.timed_out(doing, Duration::from_mins(1)))?;
        self.set_upstream(None);
        self.store_lag(Duration::ZERO);
        if let Err(error) = self.write_config_files() {
            // A primary ignores a replica's settings, and the next start writes its own.
            tracing::warn!(%error, region = self.region, "the new primary keeps the settings of a replica");
        }
        Ok(timeline.cast_unsigned())
    }
}
