//! A replica follows another primary.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::{sleep, timeout};

use crate::LabError;
use crate::poll::POLL;
use crate::server_process::{CANNOT_FOLLOW, ServerProcess, Upstream, session};

/// For a server to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// For a replica to stream from its new primary, without the round trips.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came of telling a replica to follow another primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FollowOutcome {
    /// It streams from the new primary.
    Following,
    /// It will follow when it can.
    Waiting,
    /// It can never follow, because it is ahead of the point where the timelines part.
    Stranded,
}

impl ServerProcess {
    /// Makes this replica follow another primary: a stopped one from its next start on, a frozen
    /// one once it is woken.
    pub(crate) async fn follow(&self, upstream: &Upstream) {
        let _changing = self.changing.lock().await;
        self.set_upstream(Some(upstream.clone()));
        if self.is_running()
            && let Err(error) = self.reconnect().await
        {
            tracing::warn!(%error, region = self.region, to = upstream.region, "the replica follows the new primary only after a restart");
        }
    }

    /// Has a running replica end its connection to the old primary and open one to the new.
    async fn reconnect(&self) -> Result<(), LabError> {
        self.reload().await?;
        if !self.is_frozen() {
            // A replica that holds back its replay would go on receiving from the old primary.
            let doing = "tell what it receives";
            let session = self.session(doing).await?;
            let receiver = session.query_opt("SELECT pid FROM pg_stat_wal_receiver", &[]);
            if let Some(receiver) = self.within(ANSWER, doing, receiver).await? {
                let _ = kill(Pid::from_raw(receiver.get(0)), Signal::SIGTERM);
            }
        }
        Ok(())
    }

    /// Waits until this replica streams on this timeline, or cannot do so for now.
    pub(crate) async fn wait_until_following(&self, timeline: u32) -> FollowOutcome {
        let Some(upstream) = self.upstream() else { return FollowOutcome::Waiting };
        let patience = self.patience_for(&upstream, PATIENCE);
        timeout(patience, self.watch_until_following(&upstream, timeline))
            .await
            .ok()
            .and_then(Result::ok)
            .unwrap_or(FollowOutcome::Waiting)
    }

    async fn watch_until_following(
        &self,
        upstream: &Upstream,
        timeline: u32,
    ) -> Result<FollowOutcome, LabError> {
        const RECEIVES: &str = "SELECT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming' AND received_tli = $1), \
            pg_is_wal_replay_paused()";
        let doing = "tell whom it follows";
        let logged = self.log_length();
        let failed = self.failed_to(doing);
        let session = self.session(doing).await?;
        let primary =
            session::open(upstream.port, &self.context.passwords.admin).await.map_err(&failed)?;
        loop {
            let row =
                session.query_one(RECEIVES, &[&timeline.cast_signed()]).await.map_err(&failed)?;
            let (receives, paused): (bool, bool) = (row.get(0), row.get(1));
            if receives && self.is_streamed_to_by(&primary).await.map_err(&failed)? {
                return Ok(FollowOutcome::Following);
            }
            if CANNOT_FOLLOW.iter().any(|phrase| self.logged_since(logged).contains(phrase)) {
                return Ok(FollowOutcome::Stranded);
            }
            if paused || !self.lag().is_zero() || self.is_cut_off_from(upstream) {
                return Ok(FollowOutcome::Waiting);
            }
            sleep(POLL).await;
        }
    }
}
