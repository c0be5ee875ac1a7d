//! A planned switch: the primary stops once a replica is sure to have all that it wrote.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use tokio_postgres::Client;
use tokio_postgres::types::PgLsn;

use crate::LabError;
use crate::data_dir::control_file;
use crate::poll::POLL;
use crate::server_process::ServerProcess;

/// For a replica to receive what a primary has sent that has stopped since.
const ARRIVAL: Duration = Duration::from_secs(5);

impl ServerProcess {
    /// Stops the primary once this replica is sure to receive all that it writes. After an error
    /// the primary runs.
    pub(crate) async fn hand_over_from(&self, old: &ServerProcess) -> Result<(), LabError> {
        let late = |_| Err(self.has_not_received_all_of(old));
        let session = self.session("tell what it receives").await?;
        timeout(ARRIVAL, self.wait_until_streaming(&session, old)).await.unwrap_or_else(late)?;
        old.stop().await;
        let received = timeout(ARRIVAL, self.wait_until_received_all(&session, old)).await;
        let received = received.unwrap_or_else(late);
        if received.is_err() {
            old.start().await?;
        }
        received
    }

    /// Waits until the primary streams to this replica; an error while the link between is cut.
    async fn wait_until_streaming(
        &self,
        session: &Client,
        primary: &ServerProcess,
    ) -> Result<(), LabError> {
        const RECEIVES: &str =
            "SELECT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')";
        let sender = primary.session("tell to whom it sends").await?;
        loop {
            if self.context.links.is_cut(&self.region, &primary.region) {
                return Err(self.has_not_received_all_of(primary));
            }
            let receives = session
                .query_one(RECEIVES, &[])
                .await
                .map_err(self.failed_to("tell what it receives"))?;
            if receives.get(0)
                && self
                    .is_streamed_to_by(&sender)
                    .await
                    .map_err(primary.failed_to("tell to whom it sends"))?
            {
                return Ok(());
            }
            sleep(POLL).await;
        }
    }

    /// Whether the primary of this session streams to this replica. The replica itself shows it a
    /// few round trips too early.
    pub(super) async fn is_streamed_to_by(
        &self,
        primary: &Client,
    ) -> Result<bool, tokio_postgres::Error> {
        const SENDS: &str = "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE application_name = $1 AND state = 'streaming')";
        Ok(primary.query_one(SENDS, &[&self.region]).await?.get(0))
    }

    /// Waits until this replica has received the last record of a stopped primary.
    async fn wait_until_received_all(
        &self,
        session: &Client,
        stopped: &ServerProcess,
    ) -> Result<(), LabError> {
        let last = control_file::last_checkpoint(stopped.data());
        loop {
            let row = session.query_one("SELECT pg_last_wal_receive_lsn()", &[]).await;
            let row = row.map_err(self.failed_to("tell what it receives"))?;
            if row.get::<_, Option<PgLsn>>(0) > last {
                return Ok(());
            }
            sleep(POLL).await;
        }
    }

    fn has_not_received_all_of(&self, primary: &ServerProcess) -> LabError {
        LabError::NotReceived { region: self.region.clone(), primary: primary.region.clone() }
    }
}
