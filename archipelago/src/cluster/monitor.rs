//! Checks every watched database once a second, on a thread and a connection of its own.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::backoff::Backoff;
use super::interviews::hold_elections;
use super::{Inner, Member};
use crate::connection::Connection;
use crate::error::DownReason;
use crate::region::Role;

/// Between two checks of a server that answers.
const INTERVAL: Duration = Duration::from_secs(1);

/// Between two checks if one is requested: an answer is late, or a connection broke.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(250);

/// The timeout of a check, on top of the round trips: a server that is silent for longer is down.
const SILENCE: Duration = Duration::from_secs(1);

/// The timeout is split into parts, so that a stall of this process costs at most one of them.
const PARTS: u32 = 8;

/// The longest pause between two attempts to reach a server that is down.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Starts the thread, which ends when `stop` is cancelled. It checks every member that comes
/// through `watched`.
pub(super) fn start(
    inner: Arc<Inner>,
    mut watched: mpsc::UnboundedReceiver<Arc<Member>>,
    stop: CancellationToken,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let run = move || {
        let tasks = TaskTracker::new();
        runtime.block_on(stop.run_until_cancelled(async {
            tasks.spawn(hold_elections(inner.clone()));
            while let Some(member) = watched.recv().await {
                tasks.spawn(watch(inner.clone(), member));
            }
        }));
    };
    std::thread::Builder::new().name("archipelago".to_owned()).spawn(run).map(drop)
}

/// Checks one member for as long as the thread runs.
async fn watch(inner: Arc<Inner>, member: Arc<Member>) {
    let health = &member.health;
    let mut backoff = Backoff::up_to(LONGEST_PAUSE);
    loop {
        let asked = Instant::now();
        let outcome = match member.reading.monitor_connector().open().await {
            Ok(connection) => check_while_up(&inner, &member, &connection, &mut backoff).await,
            // Other connections are answered.
            Err(reason) if reason.is_silence() && health.was_heard_since(asked) => {
                sleep(SHORTEST_INTERVAL).await;
                Ok(())
            }
            Err(reason) => Err(reason),
        };
        let Err(reason) = outcome else { continue };
        health.mark_down(reason);
        if inner.is_leader(&member) {
            inner.leader.request_election();
        }
        let _ = timeout(backoff.next_pause(), health.recovered()).await;
    }
}

/// Checks a member on one connection. Returns `Ok` when the connection has reached its lifetime or
/// is of no more use: the caller opens a new one.
async fn check_while_up(
    inner: &Inner,
    member: &Member,
    connection: &Connection,
    backoff: &mut Backoff,
) -> Result<(), DownReason> {
    if !connection.sees_timelines() {
        tracing::warn!(
            region = member.info().code,
            "this database's role cannot see on which timeline a replica is, so that after a \
             promotion reads stay away from replicas for some minutes; run GRANT pg_read_all_stats \
             TO the role"
        );
    }
    let (opened, mut round_trip) = (Instant::now(), connection.round_trip);
    let (mut has_answered, mut last_heartbeat) = (false, None);
    while opened.elapsed() < member.reading.timeouts().lifetime {
        member.health.begin_check();
        let (asked, limit) = (Instant::now(), SILENCE + 2 * round_trip);
        let with_heartbeat = last_heartbeat.is_none_or(|at: Instant| at.elapsed() >= INTERVAL);
        if with_heartbeat {
            last_heartbeat = Some(asked);
        }
        match within(limit, check(inner, member, connection, with_heartbeat)).await {
            Some(Ok(())) => round_trip = asked.elapsed(),
            Some(Err(CheckError::Broken(_))) if has_answered => return Ok(()),
            Some(Err(CheckError::Broken(reason) | CheckError::Unfit(reason))) => {
                return Err(reason);
            }
            // Other connections are answered.
            None if member.health.was_heard_since(asked) => return Ok(()),
            None => return Err(DownReason::Silent { waited: limit }),
        }
        has_answered = true;
        *backoff = Backoff::up_to(LONGEST_PAUSE);
        sleep(SHORTEST_INTERVAL).await;
        let rest = INTERVAL.saturating_sub(SHORTEST_INTERVAL);
        let _ = timeout(rest, member.health.check_requested()).await;
    }
    Ok(())
}

/// The answer, or None after `limit`. A stall of this process counts as one part of it at most, as
/// the answer may be there already.
async fn within<A>(limit: Duration, answer: impl Future<Output = A>) -> Option<A> {
    let mut answer = pin!(answer);
    for _ in 0..PARTS {
        if let Ok(answer) = timeout(limit / PARTS, &mut answer).await {
            return Some(answer);
        }
    }
    None
}

/// Why a check found no server that can serve.
enum CheckError {
    /// The connection broke.
    Broken(DownReason),
    /// The server answered, and may not serve.
    Unfit(DownReason),
}

async fn check(
    inner: &Inner,
    member: &Member,
    connection: &Connection,
    with_heartbeat: bool,
) -> Result<(), CheckError> {
    let Inner { leader, timelines, .. } = inner;
    let is_leader = inner.is_leader(member);
    let sends_heartbeat = with_heartbeat && is_leader && inner.sends_heartbeat();
    if sends_heartbeat && !connection.is_superseded() {
        // An empty commit, from which replicas tell the age of what they show.
        if let Err(error) = connection.send_heartbeat().await {
            tracing::debug!(%error, "no heartbeat");
        }
    }
    let asked = Instant::now();
    let broken = |error| CheckError::Broken(DownReason::broken(&error));
    let state = connection.probe().await.map_err(broken)?;
    if connection.is_foreign() {
        return Err(CheckError::Unfit(DownReason::ForeignDatabase));
    }
    if connection.is_superseded() {
        return Err(CheckError::Unfit(DownReason::Superseded));
    }
    let was_down = !member.health.is_up();
    member.health.record_check(state, asked.elapsed());
    // A member that did not answer the last election may settle a claim.
    if was_down && timelines.has_open_claim() {
        leader.request_election();
    }
    if is_leader {
        match state.role {
            Role::Primary => timelines.sample(state),
            Role::Replica => leader.request_election(),
        }
    }
    Ok(())
}
