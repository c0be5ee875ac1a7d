//! Looks at every open region's database once a second, on a connection and a thread of its own.

use std::io;
use std::pin::pin;
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

/// The same where somebody asks for a look: its answer is late, or its connection broke.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(250);

/// For an answer, beside the round trips that the line may take: a server that is silent for longer is down.
const SILENCE: Duration = Duration::from_secs(1);

/// In which [`SILENCE`] is waited for: where this process itself stands still, that counts as one of them.
const PARTS: u32 = 8;

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
        let asked = Instant::now();
        let outcome = match member.reading.monitor().open().await {
            Ok(connection) => {
                look_while_it_answers(&inner, &member, &connection, &mut pauses).await
            }
            Err(error) if error.is_silence() && member.health.was_heard_since(asked) => {
                sleep(SHORTEST_INTERVAL).await;
                Ok(())
            }
            Err(error) => Err(error),
        };
        let Err(error) = outcome else { continue };
        member.health.failed(error);
        inner.leader.look_again_if(inner.leads(&member));
        // Visitors do not shorten the pauses.
        tokio::select! {
            () = sleep(pauses.next()) => {}
            () = member.health.back() => {}
        }
    }
}

/// Ends well when the connection has lived long enough, or is of no use any more: a new one will tell.
async fn look_while_it_answers(
    inner: &Inner,
    member: &Member,
    connection: &Connection,
    pauses: &mut Pauses,
) -> Result<(), ConnectError> {
    if !connection.tells_timelines() {
        tracing::warn!(
            region = member.info().code,
            "this database's role cannot see on which timeline a replica is, so that after a promotion reads stay away from replicas \
             for some minutes; run GRANT pg_read_all_stats TO the role"
        );
    }
    let (opened, mut line) = (Instant::now(), connection.round_trip);
    let (mut looked, mut beaten) = (false, None);
    while opened.elapsed() < member.reading.timeouts().lifetime {
        let (asked, limit) = (Instant::now(), SILENCE + 2 * line);
        let is_time_to_beat = beaten.is_none_or(|beaten: Instant| beaten.elapsed() >= INTERVAL);
        if is_time_to_beat {
            beaten = Some(asked);
        }
        match answered_within(limit, look(inner, member, connection, is_time_to_beat)).await {
            Some(Ok(())) => line = asked.elapsed(),
            Some(Err(Failed::Broken(_))) if looked => return Ok(()),
            Some(Err(Failed::Broken(error) | Failed::Unfit(error))) => return Err(error),
            // Others are answered, so it is this connection only.
            None if member.health.was_heard_since(asked) => return Ok(()),
            None => return Err(ConnectError::silent(limit)),
        }
        looked = true;
        *pauses = Pauses::up_to(LONGEST_PAUSE);
        sleep(SHORTEST_INTERVAL).await;
        let _ =
            timeout(INTERVAL.saturating_sub(SHORTEST_INTERVAL), member.health.suspected()).await;
    }
    Ok(())
}

/// None after so long. The time in which this process stood still does not count, as the answer may be there already.
async fn answered_within<A>(limit: Duration, answer: impl Future<Output = A>) -> Option<A> {
    let mut answer = pin!(answer);
    for _ in 0..PARTS {
        if let Ok(answer) = timeout(limit / PARTS, &mut answer).await {
            return Some(answer);
        }
    }
    None
}

/// Why a look shows no server that can serve.
enum Failed {
    /// The connection broke.
    Broken(ConnectError),
    /// It answered.
    Unfit(ConnectError),
}

async fn look(
    inner: &Inner,
    member: &Member,
    connection: &Connection,
    is_time_to_beat: bool,
) -> Result<(), Failed> {
    let is_leader = inner.leads(member);
    if is_time_to_beat && is_leader && inner.beats() && !connection.is_of_the_past() {
        // A commit of nothing: it gives the replicas a time to show.
        if let Err(error) = connection.beat().await {
            tracing::debug!(%error, "no heartbeat");
        }
    }
    let asked = Instant::now();
    let state =
        connection.ask_state().await.map_err(|error| Failed::Broken(ConnectError::new(&error)))?;
    if connection.is_foreign() {
        let why = "it is another database than the primary, and no replica of it: mend its URL";
        return Err(Failed::Unfit(ConnectError::new(&why)));
    }
    if connection.is_of_the_past() {
        let why = "it was replaced as the primary by a promotion, and goes on by itself: stop it, and make it a replica of the new one";
        return Err(Failed::Unfit(ConnectError::new(&why)));
    }
    let was_down = !member.health.is_up();
    member.health.answered(state, asked.elapsed());
    // Who was not there when all were asked about a rumour may settle it.
    inner.leader.look_again_if(was_down && inner.lineage.has_open_rumour());
    if is_leader {
        match state.role {
            Role::Primary => inner.lineage.sampled(state),
            Role::Replica => inner.leader.look_again_if(true),
        }
    }
    Ok(())
}
