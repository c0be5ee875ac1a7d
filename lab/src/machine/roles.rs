//! A replica becomes a primary, or follows another.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::{sleep, timeout};
use tokio_postgres::Client;
use tokio_postgres::types::PgLsn;

use crate::machine::follow::HOPELESS;
use crate::machine::{Machine, Upstream, log};
use crate::process::POLL;
use crate::{LabError, cluster, settings};

/// For a server to answer a question.
const ANSWER: Duration = Duration::from_secs(10);

/// For a replica to take its new way.
const PATIENCE: Duration = Duration::from_secs(30);

/// For a replica to write down what the primary, which is gone, has sent.
const ARRIVAL: Duration = Duration::from_secs(5);

/// Longer than the minute that PostgreSQL itself waits for a promotion.
const PROMOTION: Duration = Duration::from_secs(70);

/// A primary's is the one that it writes. Before its first checkpoint only the name of the file that it writes tells.
const TIMELINE: &str = "SELECT CASE WHEN pg_is_in_recovery() THEN GREATEST( \
        (SELECT received_tli FROM pg_stat_wal_receiver), \
        (SELECT min_recovery_end_timeline FROM pg_control_recovery()), \
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
    /// Stops the primary when this replica is sure to receive all that it has.
    pub(crate) async fn hand_over_from(&self, old: &Machine) -> Result<(), LabError> {
        let doing = "tell what it receives";
        let session = self.session(doing).await?;
        let streams = "SELECT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')";
        let streams: bool = self.within(ANSWER, doing, session.query_one(streams, &[])).await?.get(0);
        let not_received = || LabError::NotReceived { region: self.region.clone(), primary: old.region.clone() };
        if !streams || self.site.lines.is_cut(&self.region, &old.region) {
            return Err(not_received());
        }
        old.stop().await;
        // The last that it wrote.
        let last = cluster::last_checkpoint(old.data());
        let since = Instant::now();
        loop {
            let row = self.within(ANSWER, doing, session.query_one("SELECT pg_last_wal_receive_lsn()", &[])).await?;
            if row.get::<_, Option<PgLsn>>(0) > last {
                return Ok(());
            }
            if since.elapsed() > ARRIVAL {
                old.start().await?;
                return Err(not_received());
            }
            sleep(POLL).await;
        }
    }

    /// Returns when this replica takes writes, with the timeline that it has begun.
    pub(crate) async fn promote(&self) -> Result<u32, LabError> {
        const PROMOTE: &str = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_promote(true, 60) ELSE true END";
        let doing = "become the primary";
        let _changing = self.changing.lock().await;
        let session = self.session(doing).await?;
        let promoted = self.within(PROMOTION, doing, session.query_one(PROMOTE, &[])).await?;
        if !promoted.get::<_, bool>(0) {
            return Err(self.too_slow(doing, Duration::from_mins(1)));
        }
        self.set_upstream(None);
        self.note_lag(Duration::ZERO);
        settings::write(self)?;
        self.timeline_of(&session).await
    }

    /// The timeline whose log it writes, or the newest that it has received or replayed something of.
    pub(crate) async fn timeline(&self) -> Result<u32, LabError> {
        self.timeline_of(&self.session("tell its timeline").await?).await
    }

    pub(crate) async fn timeline_of(&self, session: &Client) -> Result<u32, LabError> {
        let row = self.within(ANSWER, "tell its timeline", session.query_one(TIMELINE, &[])).await?;
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
        timeout(PATIENCE, self.turns(timeline)).await.ok().and_then(Result::ok).unwrap_or(Turn::Waits)
    }

    async fn turns(&self, timeline: u32) -> Result<Turn, LabError> {
        const QUESTION: &str = "SELECT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming' AND received_tli = $1), \
            pg_is_wal_replay_paused()";
        let doing = "tell whom it follows";
        let logged = self.log_length();
        let session = self.session(doing).await?;
        loop {
            let row = session.query_one(QUESTION, &[&timeline.cast_signed()]).await.map_err(self.failed_to(doing))?;
            let (follows, paused): (bool, bool) = (row.get(0), row.get(1));
            let is_cut = |upstream: Upstream| self.site.lines.is_cut(&self.region, &upstream.region);
            if follows {
                return Ok(Turn::Follows);
            }
            if HOPELESS.iter().any(|phrase| log::since(&self.log(), logged).contains(phrase)) {
                return Ok(Turn::Stranded);
            }
            if paused || !self.lag().is_zero() || self.upstream().is_some_and(is_cut) {
                return Ok(Turn::Waits);
            }
            sleep(POLL).await;
        }
    }
}
