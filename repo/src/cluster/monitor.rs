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
use crate::connect::ConnectError;
use crate::connection::Connection;

/// Between two looks at a server that answers.
const INTERVAL: Duration = Duration::from_secs(1);

/// For an answer, beside the round trips that the line may take: a server that is silent for longer is down.
const SILENCE: Duration = Duration::from_secs(1);

/// Between the attempts to reach a server that is down, at the most. Each pause is twice as long as the one before.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Pauses that grow.
pub(super) struct Pauses {
    next: Duration,
    longest: Duration,
}

impl Pauses {
    pub(super) fn up_to(longest: Duration) -> Self {
        Self { next: Duration::from_millis(250), longest }
    }

    pub(super) fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
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
    let mut pauses = Pauses::up_to(LONGEST_PAUSE);
    loop {
        let connector = member.reading.monitor();
        let error = match connector.open().await {
            Ok(connection) => match look_while_it_answers(&inner, &member, &connection).await {
                Ended::Renew => {
                    pauses = Pauses::up_to(LONGEST_PAUSE);
                    continue;
                }
                Ended::Down(error) => error,
            },
            Err(error) => error,
        };
        if member.health.is_up() || member.health.now().why_down.is_none_or(|known| known != error.to_string()) {
            tracing::warn!(region = member.info().code, %error, "reads go elsewhere until this database can serve again");
        }
        member.health.failed(error.to_string());
        inner.leader.look_again_if(member.info().code == inner.leader().info().code);
        // Whoever comes meanwhile is not waited for: visitors do not shorten the pauses.
        sleep(pauses.next()).await;
    }
}

/// Why the monitor looks no more on a connection.
enum Ended {
    /// It has lived long enough, or broke: a new one will tell.
    Renew,
    /// The server cannot serve.
    Down(ConnectError),
}

async fn look_while_it_answers(inner: &Inner, member: &Member, connection: &Connection) -> Ended {
    if !connection.tells_timelines() {
        tracing::warn!(
            region = member.info().code,
            "this database's role cannot see on which timeline a replica is, so that after a promotion reads stay away from replicas \
             for some minutes; run GRANT pg_read_all_stats TO the role"
        );
    }
    let (opened, mut line) = (Instant::now(), connection.round_trip);
    let mut looked = false;
    while opened.elapsed() < member.reading.timeouts().lifetime {
        let (asked, limit) = (Instant::now(), SILENCE + 2 * line);
        match timeout(limit, look(inner, member, connection)).await {
            Ok(Ok(())) => line = asked.elapsed(),
            Ok(Err(Failed::Broken(_))) if looked => return Ended::Renew,
            Ok(Err(Failed::Broken(error) | Failed::Unfit(error))) => return Ended::Down(error),
            // Others are answered, so it is this connection only.
            Err(_) if member.health.was_heard_since(asked) => return Ended::Renew,
            Err(_) => return Ended::Down(ConnectError::silent(limit)),
        }
        looked = true;
        let _ = timeout(INTERVAL, member.health.suspected()).await;
    }
    Ended::Renew
}

/// Why a look shows no server that can serve.
enum Failed {
    /// The connection broke.
    Broken(ConnectError),
    /// It answered.
    Unfit(ConnectError),
}

async fn look(inner: &Inner, member: &Member, connection: &Connection) -> Result<(), Failed> {
    let is_leader = member.info().code == inner.leader().info().code;
    if is_leader && inner.beats() {
        // A commit of nothing: it gives the replicas a time to show.
        if let Err(error) = connection.beat().await {
            tracing::debug!(%error, "no heartbeat");
        }
    }
    let asked = Instant::now();
    let state = connection.ask_state().await.map_err(|error| Failed::Broken(ConnectError::new(&error)))?;
    if connection.is_of_the_past() {
        let why =
            "it was replaced as the primary by a promotion, and goes on by itself: stop it, and make it a replica of the new one";
        return Err(Failed::Unfit(ConnectError::new(&why)));
    }
    member.health.answered(state, asked.elapsed());
    if is_leader {
        match state.role {
            Role::Primary => inner.lineage.sampled(state),
            Role::Replica => inner.leader.look_again_if(true),
        }
    }
    Ok(())
}
