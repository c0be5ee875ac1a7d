//! Asks every member how it is, again and again, on a thread of its own and on one kept connection
//! to each: a member that reads use once a second, the others every few seconds.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::backoff::Backoff;
use super::record::Reply;
use super::{Inner, Member};
use crate::connection::Connection;
use crate::error::DownReason;
use crate::server::{ServerReport, ServerState};
use crate::settings::Safeguard;

/// Between two questions to a member that reads use, or that leads.
const INTERVAL: Duration = Duration::from_secs(1);

/// Between two questions to any other member. A promotion is noticed so late.
const BACKGROUND_INTERVAL: Duration = Duration::from_secs(4);

/// Between two questions if one is requested: an answer is late, a connection broke, or an election
/// is held.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(250);

/// The timeout of a question, on top of the round trips: a server that is silent for longer is
/// down.
const SILENCE: Duration = Duration::from_secs(1);

/// The timeout is split into parts, so that a stall of this process costs at most one of them.
const PARTS: u32 = 8;

/// The longest pause between two attempts to reach a server that is down.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Starts the thread, which ends when `stop` is cancelled.
pub(super) fn start(inner: Arc<Inner>, stop: CancellationToken) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let run = move || {
        let tasks = TaskTracker::new();
        runtime.block_on(stop.run_until_cancelled(async {
            for index in 0..inner.members.len() {
                tasks.spawn(watch(inner.clone(), index));
            }
            loop {
                inner.leadership.newer_timeline().await;
                inner.leader.request_election();
            }
        }));
    };
    std::thread::Builder::new().name("archipelago".to_owned()).spawn(run).map(drop)
}

/// Asks one member for as long as the thread runs.
async fn watch(inner: Arc<Inner>, index: usize) {
    let member = &inner.members[index];
    let mut backoff = Backoff::up_to(LONGEST_PAUSE);
    loop {
        let asked = Instant::now();
        let reason = match open(&inner, index, asked).await {
            Ok((connection, migrated)) => {
                let ended = ask_while_up(&inner, index, &connection, migrated, &mut backoff).await;
                match ended {
                    Ok(()) => continue,
                    Err(reason) => reason,
                }
            }
            // Other connections are answered.
            Err(reason) if reason.is_silence() && member.health.was_heard_since(asked) => {
                sleep(SHORTEST_INTERVAL).await;
                continue;
            }
            Err(reason) => reason,
        };
        note_failure(&inner, index, asked, reason);
        let pause = backoff.next_pause();
        sleep(inner.leader.election_pause().map_or(pause, |longest| pause.min(longest))).await;
    }
}

/// Opens the monitor's connection. A server that is never heard counts as silent before the attempt
/// ends: reads need not wait for it.
async fn open(
    inner: &Inner,
    index: usize,
    asked: Instant,
) -> Result<(Connection, Result<(), DownReason>), DownReason> {
    let member = &inner.members[index];
    let connector = member.reading.monitor_connector();
    let limit = member.reading.timeouts().checkout;
    let mut opening = pin!(connector.open_any());
    if let Some(opened) = within(SILENCE.min(limit), &mut opening).await {
        return opened;
    }
    if !member.health.was_heard_since(asked) {
        note_failure(inner, index, asked, DownReason::Silent { waited: SILENCE.min(limit) });
    }
    let opened = within(limit.saturating_sub(SILENCE), opening).await;
    opened.unwrap_or(Err(DownReason::Silent { waited: limit }))
}

/// Records that a member did not answer, or refused to.
fn note_failure(inner: &Inner, index: usize, asked: Instant, reason: DownReason) {
    let is_silence = reason.is_silence();
    inner.members[index].health.mark_down(reason);
    if is_silence {
        inner.leader.record_silence(index, asked);
    } else {
        inner.leader.record_refusal(index, asked);
    }
    if is_silence && index == inner.leader.index() {
        inner.leader.request_election();
    }
}

/// Asks a member on one connection. Returns `Ok` when the connection has reached its lifetime or is
/// of no more use: the caller opens a new one.
async fn ask_while_up(
    inner: &Inner,
    index: usize,
    connection: &Connection,
    migrated: Result<(), DownReason>,
    backoff: &mut Backoff,
) -> Result<(), DownReason> {
    let member = &inner.members[index];
    warn_of_missing_rights(member, connection);
    let opened = Instant::now();
    let (mut round_trip, mut heartbeat) = (connection.round_trip, Heartbeat::default());
    let report = connection.opening_report();
    let mut last_asked = report.asked;
    consider(inner, index, connection, (report, connection.state()), round_trip, &migrated);
    // A new connection asks for the migrations again.
    migrated?;
    *backoff = Backoff::up_to(LONGEST_PAUSE);
    while opened.elapsed() < member.reading.timeouts().lifetime {
        wait_for_next(inner, member, index, last_asked).await;
        member.health.begin_check();
        let (asked, limit) = (Instant::now(), SILENCE + 2 * round_trip);
        let answer = within(limit, async {
            heartbeat.send_if_due(inner, index, connection).await;
            let asked = Instant::now();
            connection.report().await.map(|report| (report, asked.elapsed()))
        });
        match answer.await {
            Some(Ok((report, took))) => {
                (round_trip, last_asked) = (took, report.0.asked);
                consider(inner, index, connection, report, took, &Ok(()));
            }
            // It has answered before, and may have ended just this session. Or other connections
            // are answered.
            Some(Err(_)) => return Ok(()),
            None if member.health.was_heard_since(asked) => return Ok(()),
            None => return Err(DownReason::Silent { waited: limit }),
        }
    }
    Ok(())
}

/// Records a member's report, elects, and marks the member up or down.
fn consider(
    inner: &Inner,
    index: usize,
    connection: &Connection,
    (report, state): (ServerReport, ServerState),
    round_trip: Duration,
    migrated: &Result<(), DownReason>,
) {
    let Inner { leader, leadership, members, .. } = inner;
    let unfit = leader.record(index, Reply { identity: connection.identity(), report });
    let unfit = unfit.filter(|_| leadership.safeguards.has(Safeguard::Fitness));
    let health = &members[index].health;
    match unfit.or_else(|| migrated.clone().err()) {
        Some(reason) => health.mark_down(reason),
        None => health.record_check(state, round_trip),
    }
    if index == leader.index() {
        leadership.sample(state);
    }
}

/// Waits until a member is to be asked again that was last asked at `asked`.
async fn wait_for_next(inner: &Inner, member: &Member, index: usize, asked: Instant) {
    sleep(SHORTEST_INTERVAL).await;
    let is_used = member.is_watched() || index == inner.leader.index();
    let usual = if is_used { INTERVAL } else { BACKGROUND_INTERVAL };
    let pause = inner.leader.election_pause().map_or(usual, |pause| pause.min(usual));
    tokio::select! {
        () = sleep(pause.saturating_sub(SHORTEST_INTERVAL)) => {}
        () = member.health.check_requested() => {}
        () = inner.leader.election_requested(asked) => {}
    }
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

/// The empty commits by which replicas tell the age of what they show.
#[derive(Default)]
struct Heartbeat {
    last: Option<Instant>,
    is_refused: bool,
}

impl Heartbeat {
    /// Sends one to the leader, once in an interval. One that is refused is not tried again on this
    /// connection.
    async fn send_if_due(&mut self, inner: &Inner, index: usize, connection: &Connection) {
        let is_due = self.last.is_none_or(|at| at.elapsed() >= INTERVAL);
        let sends = index == inner.leader.index() && inner.sends_heartbeat();
        if self.is_refused || !is_due || !sends || connection.is_rival_primary() {
            return;
        }
        self.last = Some(Instant::now());
        if let Err(error) = connection.send_heartbeat().await {
            self.is_refused = true;
            tracing::warn!(
                region = inner.members[index].info().code,
                %error,
                "no heartbeat can be committed, so that on an idle primary the lag of replicas is \
                 unknown; if the role lacks the right, run GRANT EXECUTE ON FUNCTION \
                 pg_logical_emit_message(boolean, text, text) TO the role"
            );
        }
    }
}

fn warn_of_missing_rights(member: &Member, connection: &Connection) {
    let region = member.info().code;
    if !connection.sees_timelines() {
        tracing::warn!(
            region,
            "this database's role cannot see on which timeline a replica is, so that after a \
             promotion reads stay away from replicas for some minutes; run GRANT pg_read_all_stats \
             TO the role"
        );
    }
    let denied = connection.denied_functions();
    if !denied.is_empty() {
        tracing::warn!(
            region,
            functions = denied.join(", "),
            "this database's role may not call these functions, so that less is known of it: \
             writes go to the primary of regions.toml, and reads by what is left; run GRANT EXECUTE \
             ON FUNCTION … TO the role for each"
        );
    }
}
