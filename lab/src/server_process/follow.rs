//! A replica becomes a primary, or follows another.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::{sleep, timeout};
use tokio_postgres::Client;
use tokio_postgres::types::PgLsn;

use crate::machine::follow::{EXCHANGES, HOPELESS};
use crate::machine::{Machine, Upstream, log};
use crate::process::POLL;
use crate::{LabError, cluster, session, settings};

/// For a server to answer a question.
const ANSWER: Duration = Duration::from_secs(10);

/// For a replica to take its new way, besides the way to and fro.
const PATIENCE: Duration = Duration::from_secs(30);

/// For a replica to write down what the primary, which is gone, has sent.
const ARRIVAL: Duration = Duration::from_secs(5);

/// Longer than the minute that PostgreSQL itself waits for a promotion.
const PROMOTION: Duration = Duration::from_secs(70);

/// A primary's is the one that it writes. Before its first checkpoint only the name of the file that it writes tells; so does
/// that of what a replica has received, when it is not connected any more.
const TIMELINE: &str = "SELECT CASE WHEN pg_is_in_recovery() THEN GREATEST( \
        (SELECT received_tli FROM pg_stat_wal_receiver), \
        (SELECT max(('x' || left(name, 8))::bit(32)::int) FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$'), \
        (SELECT timeline_id FROM pg_control_checkpoint())) \
    ELSE ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int END";

/// What came of telling a replica to follow another primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    Follows,
    /// It will, when it can.
    Waits,
    /// It never will: it is ahead of where the timelines part.
    Stranded,
}

impl Machine {
    /// Stops the primary when this replica is sure to receive all that it has. After an error the primary runs.
    pub(crate) async fn hand_over_from(&self, old: &Machine) -> Result<(), LabError> {
        let not_received =
            || LabError::NotReceived { region: self.region.clone(), primary: old.region.clone() };
        let late = |_| Err(not_received());
        let session = self.session("tell what it receives").await?;
        timeout(ARRIVAL, self.is_sent_all(&session, old)).await.unwrap_or_else(late)?;
        old.stop().await;
        let received = timeout(ARRIVAL, self.has_all_of(&session, old)).await.unwrap_or_else(late);
        if received.is_err() {
            old.start().await?;
        }
        received
    }

    /// Waits until the primary sends to this replica as it writes; not while the line between is cut.
    async fn is_sent_all(&self, session: &Client, primary: &Machine) -> Result<(), LabError> {
        const RECEIVES: &str =
            "SELECT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')";
        let sender = primary.session("tell to whom it sends").await?;
        loop {
            if self.site.lines.is_cut(&self.region, &primary.region) {
                return Err(LabError::NotReceived {
                    region: self.region.clone(),
                    primary: primary.region.clone(),
                });
            }
            let receives = session
                .query_one(RECEIVES, &[])
                .await
                .map_err(self.failed_to("tell what it receives"))?;
            if receives.get(0)
                && self
                    .is_sent_to(&sender)
                    .await
                    .map_err(primary.failed_to("tell to whom it sends"))?
            {
                return Ok(());
            }
            sleep(POLL).await;
        }
    }

    /// Whether this primary streams to this replica. A replica itself says so a few round trips earlier.
    async fn is_sent_to(&self, primary: &Client) -> Result<bool, tokio_postgres::Error> {
        const SENDS: &str = "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE application_name = $1 AND state = 'streaming')";
        Ok(primary.query_one(SENDS, &[&self.region]).await?.get(0))
    }

    /// Waits until this replica has received the last that a primary wrote before it stopped.
    async fn has_all_of(&self, session: &Client, stopped: &Machine) -> Result<(), LabError> {
        let last = cluster::last_checkpoint(stopped.data());
        loop {
            let row = session.query_one("SELECT pg_last_wal_receive_lsn()", &[]).await;
            if row.map_err(self.failed_to("tell what it receives"))?.get::<_, Option<PgLsn>>(0)
                > last
            {
                return Ok(());
            }
            sleep(POLL).await;
        }
    }

    /// Returns when this replica takes writes, with the timeline that it has begun.
    pub(crate) async fn promote(&self) -> Result<u32, LabError> {
        // With the timeline in the same answer: when it is promoted, nothing is left that may fail.
        const PROMOTE: &str = "WITH promotion AS MATERIALIZED \
            (SELECT CASE WHEN pg_is_in_recovery() THEN pg_promote(true, 60) ELSE true END AS done) \
            SELECT CASE WHEN done THEN ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int END \
            FROM promotion";
        let doing = "become the primary";
        let _changing = self.changing.lock().await;
        let session = self.session(doing).await?;
        let promoted = self.within(PROMOTION, doing, session.query_one(PROMOTE, &[])).await?;
        let timeline = promoted
            .get::<_, Option<i32>>(0)
            .ok_or_else(|| self.too_slow(doing, Duration::from_mins(1)))?;
        self.set_upstream(None);
        self.note_lag(Duration::ZERO);
        if let Err(error) = settings::write(self) {
            // A primary does not heed the old ones, and the next start writes them again.
            tracing::warn!(%error, region = self.region, "it is the primary, with the settings of a replica");
        }
        Ok(timeline.cast_unsigned())
    }

    /// The timeline whose log it writes, or the newest that it has received or replayed something of.
    pub(crate) async fn timeline(&self) -> Result<u32, LabError> {
        self.timeline_of(&self.session("tell its timeline").await?).await
    }

    pub(crate) async fn timeline_of(&self, session: &Client) -> Result<u32, LabError> {
        let row =
            self.within(ANSWER, "tell its timeline", session.query_one(TIMELINE, &[])).await?;
        Ok(row.get::<_, i32>(0).cast_unsigned())
    }

    /// Follows another primary from now on: a server that does not run, when it starts; a frozen one, when it thaws.
    pub(crate) async fn turn_to(&self, upstream: &Upstream) {
        let _changing = self.changing.lock().await;
        self.set_upstream(Some(upstream.clone()));
        if self.is_running()
            && let Err(error) = self.turn_now().await
        {
            tracing::warn!(%error, region = self.region, to = upstream.region, "the replica follows only when it starts again");
        }
    }

    async fn turn_now(&self) -> Result<(), LabError> {
        self.reload().await?;
        if !self.is_frozen() {
            // One that holds back its replay would go on receiving from the old primary.
            let doing = "tell what it receives";
            let session = self.session(doing).await?;
            let receiver = session.query_opt("SELECT pid FROM pg_stat_wal_receiver", &[]);
            if let Some(receiver) = self.within(ANSWER, doing, receiver).await? {
                let _ = kill(Pid::from_raw(receiver.get(0)), Signal::SIGTERM);
            }
        }
        Ok(())
    }

    /// Waits until this replica receives of this timeline.
    pub(crate) async fn turned(&self, timeline: u32) -> Turn {
        let Some(upstream) = self.upstream() else { return Turn::Waits };
        let patience =
            PATIENCE.saturating_add(self.round_trip_to(&upstream).saturating_mul(EXCHANGES));
        timeout(patience, self.turns(&upstream, timeline))
            .await
            .ok()
            .and_then(Result::ok)
            .unwrap_or(Turn::Waits)
    }

    async fn turns(&self, upstream: &Upstream, timeline: u32) -> Result<Turn, LabError> {
        const QUESTION: &str = "SELECT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming' AND received_tli = $1), \
            pg_is_wal_replay_paused()";
        let doing = "tell whom it follows";
        let logged = self.log_length();
        let failed = self.failed_to(doing);
        let session = self.session(doing).await?;
        let primary =
            session::open(upstream.port, &self.site.secrets.admin).await.map_err(&failed)?;
        loop {
            let row =
                session.query_one(QUESTION, &[&timeline.cast_signed()]).await.map_err(&failed)?;
            let (receives, paused): (bool, bool) = (row.get(0), row.get(1));
            if receives && self.is_sent_to(&primary).await.map_err(&failed)? {
                return Ok(Turn::Follows);
            }
            if HOPELESS.iter().any(|phrase| log::since(&self.log(), logged).contains(phrase)) {
                return Ok(Turn::Stranded);
            }
            if paused || !self.lag().is_zero() || self.is_apart_from(upstream) {
                return Ok(Turn::Waits);
            }
            sleep(POLL).await;
        }
    }
}
