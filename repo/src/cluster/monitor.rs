//! Looks at every open region's database once a second, on a connection and a thread of its own.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Inner, Member};
use crate::Role;
use crate::connect::{ConnectError, Connection};

/// Between two looks at a server that answers.
const INTERVAL: Duration = Duration::from_secs(1);

/// For an answer, beside the round trips that the line may take: a server that is silent for longer is down.
const SILENCE: Duration = Duration::from_secs(1);

/// Between the attempts to reach a server that is down: at first, and at most. Each is twice as long as the one before.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// Pauses that grow.
pub(super) struct Pauses(Duration);

impl Pauses {
    pub(super) fn new() -> Self {
        Self(PAUSES.0)
    }

    pub(super) fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(PAUSES.1);
        pause
    }
}

/// Starts the thread, which ends when `stop` is cancelled. Every member that comes through `watched` is looked at from then on.
pub(super) fn start(
    inner: Arc<Inner>,
    mut watched: mpsc::UnboundedReceiver<Arc<Member>>,
    stop: CancellationToken,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let run = move || {
        let tasks = TaskTracker::new();
        runtime.block_on(stop.run_until_cancelled(async {
            tasks.spawn(super::leader::follow(inner.clone()));
            while let Some(member) = watched.recv().await {
                tasks.spawn(watch(inner.clone(), member));
            }
        }));
    };
    std::thread::Builder::new().name("archipelago".to_owned()).spawn(run).map(drop)
}

async fn watch(inner: Arc<Inner>, member: Arc<Member>) {
    let mut pauses = Pauses::new();
    loop {
        let error = look_while_it_answers(&inner, &member, &mut pauses).await;
        if member.health.is_up() {
            tracing::warn!(region = member.info().code, %error, "reads go elsewhere until this database answers again");
        }
        member.health.failed(error.to_string());
        inner.leader.look_again_if(member.info().code == inner.leader().info().code);
        // Whoever comes meanwhile is not waited for: visitors do not shorten the pauses.
        sleep(pauses.next()).await;
    }
}

/// Returns why it does not answer any more.
async fn look_while_it_answers(inner: &Inner, member: &Member, pauses: &mut Pauses) -> ConnectError {
    let connection = match member.reading.monitor().open().await {
        Ok(connection) => connection,
        Err(error) => return error,
    };
    if !connection.tells_timelines() {
        tracing::warn!(
            region = member.info().code,
            "this database's role cannot see on which timeline a replica is, so that after a promotion reads stay away from replicas \
             for some minutes; run GRANT pg_read_all_stats TO the role"
        );
    }
    let mut line = connection.round_trip;
    loop {
        let asked = Instant::now();
        match timeout(SILENCE + 2 * line, look(inner, member, &connection)).await {
            Ok(Ok(())) => line = asked.elapsed(),
            Ok(Err(error)) => return error,
            Err(_) => return ConnectError::silent(SILENCE + 2 * line),
        }
        *pauses = Pauses::new();
        let _ = timeout(INTERVAL, member.health.suspected()).await;
    }
}

async fn look(inner: &Inner, member: &Member, connection: &Connection) -> Result<(), ConnectError> {
    let is_leader = member.info().code == inner.leader().info().code;
    if is_leader && inner.beats() {
        // A commit of nothing: it gives the replicas a time to show.
        if let Err(error) = connection.beat().await {
            tracing::debug!(%error, "no heartbeat");
        }
    }
    let asked = Instant::now();
    let state = connection.ask_state().await.map_err(|error| ConnectError::new(&error))?;
    member.health.answered(state, asked.elapsed());
    if is_leader {
        match state.role {
            Role::Primary => inner.lineage.sampled(state),
            Role::Replica => inner.leader.look_again_if(true),
        }
    }
    Ok(())
}
