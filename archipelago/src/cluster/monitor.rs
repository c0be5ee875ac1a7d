//! Asks every member how it is, again and again, on a thread of its own and on one kept connection
//! to each: a member that reads use once a second, the others every few seconds.

mod heartbeat;
mod warnings;

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};
use tokio_postgres::error::SqlState;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::heartbeat::Heartbeat;
use self::warnings::{warn_of_few_connections, warn_of_missing_rights};
use super::backoff::Backoff;
use super::leader::Leader;
use super::record::Reply;
use super::{Inner, Member};
use crate::connection::Connection;
use crate::error::{DownReason, End};
use crate::server::{HealthRecord, Leadership, ServerReport, ServerState};
use crate::settings::Safeguard;

/// Between two questions to a member that reads use, or that leads.
const INTERVAL: Duration = Duration::from_secs(1);

/// Between two questions to any other member. A promotion is noticed within this time.
const BACKGROUND_INTERVAL: Duration = Duration::from_secs(4);

/// Between two questions if one is requested: an answer is late, a connection broke, or an election
/// is held.
pub(super) const SHORTEST_INTERVAL: Duration = Duration::from_millis(250);

/// The timeout of a question, on top of the round trips: a server that is silent for longer is
/// down.
pub(super) const SILENCE: Duration = Duration::from_secs(1);

/// The timeout is split into parts, so that a stall of this process costs at most one of them.
const PARTS: u32 = 8;

/// The class of the errors of a server that has no room for another connection, as 53300:
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
const INSUFFICIENT_RESOURCES: &str = "53";

/// How long the monitor goes on with a connection when the server has refused the next one.
const REOPEN: Duration = Duration::from_secs(30);

/// The longest pause between two attempts to reach a server that is down.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Starts the thread, which ends when `stop` is cancelled.
pub(super) fn start(inner: Arc<Inner>, stop: CancellationToken) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let run = move || {
        let _ended = NotesItsEnd(&inner.monitor_has_ended);
        let tasks = TaskTracker::new();
        runtime.block_on(stop.run_until_cancelled(async {
            let used = |index: &usize| !inner.members[*index].is_off();
            for index in (0..inner.members.len()).filter(used) {
                let inner = inner.clone();
                tasks.spawn(async move {
                    // Ends in a panic only.
                    while let Err(error) = tokio::spawn(watch(inner.clone(), index)).await {
                        tracing::error!(%error, "the monitor of a database has failed; it goes on");
                        sleep(INTERVAL).await;
                    }
                });
            }
            loop {
                inner.leadership.newer_timeline().await;
                inner.leader.request_election(Instant::now());
            }
        }));
    };
    std::thread::Builder::new().name("archipelago".to_owned()).spawn(run).map(drop)
}

/// Notes that the thread has ended, by a panic or because it was stopped.
struct NotesItsEnd<'a>(&'a AtomicBool);

impl Drop for NotesItsEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Asks one member for as long as the thread runs.
async fn watch(inner: Arc<Inner>, index: usize) {
    let watch = Watch { inner: &inner, index, member: &inner.members[index] };
    let mut backoff = Backoff::up_to(LONGEST_PAUSE);
    // Kept until the next one is open: the server may refuse that.
    let mut kept = None;
    let mut last_attempt = Instant::now();
    loop {
        if inner.rest.is_due(Instant::now()) {
            kept = None;
            watch.rest().await;
        }
        let asked = Instant::now();
        let before = std::mem::replace(&mut last_attempt, asked);
        let begun = match open(&inner, index, asked, kept.is_some()).await {
            Ok((connection, migrated)) => {
                let begun = watch.begin(connection, migrated).await;
                drop(kept.take());
                if begun.is_ok() {
                    backoff = Backoff::up_to(LONGEST_PAUSE);
                }
                begun
            }
            Err(reason) => match kept.take() {
                Some(asking) => Ok(Asking { until: Instant::now() + REOPEN, ..asking }),
                None if watch.is_answered_elsewhere(&reason, asked, before).await => {
                    let is_silent = reason.is_silence();
                    sleep(if is_silent { SHORTEST_INTERVAL } else { INTERVAL }).await;
                    continue;
                }
                None => Err(reason),
            },
        };
        let reason = match begun {
            Ok(asking) => match watch.ask_while_up(asking).await {
                Ok(asking) => {
                    kept = asking;
                    continue;
                }
                Err(reason) => reason,
            },
            Err(reason) => reason,
        };
        let health = &watch.member.health;
        note_failure(&inner.leader, index, health, reason, (asked, Instant::now()));
        let pause = backoff.next_pause();
        sleep(
            inner.leader.election_pause(Instant::now()).map_or(pause, |longest| pause.min(longest)),
        )
        .await;
    }
}

/// Opens the monitor's connection. A server that is never heard counts as silent before the attempt
/// ends: reads need not wait for it. Where the monitor has another connection, that one tells.
async fn open(
    inner: &Inner,
    index: usize,
    asked: Instant,
    has_another: bool,
) -> Result<(Connection, Result<(), DownReason>), DownReason> {
    let member = &inner.members[index];
    let connector = member.reading.monitor_connector();
    let limit = member.reading.timeouts().checkout;
    let mut opening = pin!(connector.open_any(()));
    if let Some(opened) = within(SILENCE.min(limit), &mut opening).await {
        return opened;
    }
    // The leader may be far away: writes wait for it.
    if !has_another && !member.health.was_heard_since(asked) && index != inner.leader.index() {
        let reason = DownReason::Silent { waited: SILENCE.min(limit) };
        note_failure(&inner.leader, index, &member.health, reason, (asked, Instant::now()));
    }
    let opened = within(limit.saturating_sub(SILENCE), opening).await;
    opened.unwrap_or(Err(DownReason::Silent { waited: limit }))
}

/// Records that a member did not answer, or refused to.
pub(super) fn note_failure(
    leader: &Leader,
    index: usize,
    health: &HealthRecord,
    reason: DownReason,
    (asked, now): (Instant, Instant),
) {
    // A server that starts or stops answers no question, and may do so for long.
    let is_starting = matches!(
        &reason,
        DownReason::Refused { sqlstate: Some(code), .. }
            if code == SqlState::CANNOT_CONNECT_NOW.code()
    );
    let is_silence = reason.is_silence();
    health.mark_down(reason);
    if is_silence || is_starting {
        leader.record_silence(index, asked, now);
    } else {
        leader.record_refusal(index, asked, now);
    }
    if is_silence && index == leader.index() {
        leader.request_election(now);
    }
}

/// What the monitor asks one member with.
struct Watch<'a> {
    inner: &'a Inner,
    index: usize,
    member: &'a Member,
}

/// A connection on which the monitor asks.
struct Asking {
    connection: Connection,
    /// How long the last answer took.
    round_trip: Duration,
    /// When the server was last asked.
    asked: Instant,
    heartbeat: Heartbeat,
    /// When the next connection is to be opened.
    until: Instant,
}

impl Watch<'_> {
    /// Asks nothing until a read or write comes, or one that waits for an answer asks for a check.
    async fn rest(&self) {
        tokio::select! {
            () = self.inner.rest.ended() => {}
            () = self.member.health.check_requested() => {}
        }
        self.member.health.begin_check();
    }

    /// Begins to ask on a new connection, whose opening has asked already.
    async fn begin(
        &self,
        connection: Connection,
        migrated: Result<(), DownReason>,
    ) -> Result<Asking, DownReason> {
        warn_of_missing_rights(self.member, &connection);
        warn_of_few_connections(self.member, &connection).await;
        let (report, round_trip) = (connection.opening_report(), connection.round_trip);
        self.consider(&connection, (report, connection.state()), round_trip, migrated.clone());
        // A new connection asks for the migrations again.
        migrated?;
        let (asked, heartbeat) = (report.asked, Heartbeat::default());
        let until = Instant::now() + self.member.reading.timeouts().lifetime;
        Ok(Asking { connection, round_trip, asked, heartbeat, until })
    }

    /// Asks until the next connection is to be opened, and gives back this one, unless it is of no
    /// more use.
    async fn ask_while_up(&self, mut asking: Asking) -> Result<Option<Asking>, DownReason> {
        let Self { inner, index, member } = *self;
        while Instant::now() < asking.until {
            wait_for_next(inner, member, index, asking.asked).await;
            if inner.rest.is_due(Instant::now()) {
                return Ok(None);
            }
            member.health.begin_check();
            let (asked, limit) = (Instant::now(), SILENCE + 2 * asking.round_trip);
            let Asking { connection, heartbeat, .. } = &mut asking;
            let answer = within(limit, async {
                heartbeat.send_if_due(inner, index, connection).await;
                let asked = Instant::now();
                connection.report().await.map(|report| (report, asked.elapsed()))
            });
            match answer.await {
                Some(Ok((report, took))) => {
                    self.consider(connection, report, took, Ok(()));
                    let _ = within(limit, end_what_is_lost(member, connection)).await;
                    (asking.round_trip, asking.asked) = (took, report.0.asked);
                }
                // It has answered before, and may have ended just this session. Or other
                // connections are answered.
                Some(Err(_)) => return Ok(None),
                None if member.health.was_heard_since(asked) => return Ok(None),
                None => return Err(DownReason::Silent { waited: limit }),
            }
        }
        Ok(Some(asking))
    }

    /// Records a report, and whether the member may serve.
    fn consider(
        &self,
        connection: &Connection,
        (report, state): (ServerReport, ServerState),
        round_trip: Duration,
        migrated: Result<(), DownReason>,
    ) {
        let Inner { leader, leadership, .. } = self.inner;
        let identity = connection.identity();
        let reply = Reply { identity, report };
        let unfit = record_reply(leader, leadership, self.index, (reply, state), Instant::now());
        let health = &self.member.health;
        health.record_state(identity, state, round_trip, Instant::now());
        match unfit.or(migrated.err()) {
            Some(reason) => health.mark_down(reason),
            None => health.mark_up(),
        }
    }

    /// Whether the server answers on other connections although it refuses a new one, or is silent
    /// on it. One that has no room for another connection is as well as before.
    async fn is_answered_elsewhere(
        &self,
        reason: &DownReason,
        asked: Instant,
        before: Instant,
    ) -> bool {
        let health = &self.member.health;
        let DownReason::Refused { sqlstate: Some(code), .. } = reason else {
            return reason.is_silence() && health.was_heard_since(asked);
        };
        let Some(shared) = self.member.reading.any_shared() else {
            return code.starts_with(INSUFFICIENT_RESOURCES) && health.was_heard_since(before);
        };
        let asked = Instant::now();
        match within(SILENCE + 2 * shared.round_trip, shared.report()).await {
            Some(Ok(report)) => {
                self.consider(&shared, report, asked.elapsed(), Ok(()));
                true
            }
            Some(Err(_)) | None => health.was_heard_since(asked),
        }
    }
}

/// Ends the connections without a user whose answers are lost.
async fn end_what_is_lost(member: &Member, connection: &Connection) {
    for session in member.health.abandoned() {
        if connection.has_lost(&session).await {
            session.record_end(End::Vanished);
        }
    }
}

/// Records a member's reply and elects. Returns why that member may not serve.
pub(super) fn record_reply(
    leader: &Leader,
    leadership: &Leadership,
    index: usize,
    (reply, state): (Reply, ServerState),
    now: Instant,
) -> Option<DownReason> {
    let unfit = leader.record(index, reply, now);
    if index == leader.index() && unfit.is_none() {
        leadership.sample(state, reply.report.clock);
    }
    unfit.filter(|_| leadership.safeguards.has(Safeguard::Fitness))
}

/// The pause between two questions to a member, unless one is requested.
pub(super) fn usual_pause(leader: &Leader, is_used: bool, now: Instant) -> Duration {
    let usual = if is_used { INTERVAL } else { BACKGROUND_INTERVAL };
    leader.election_pause(now).map_or(usual, |pause| pause.min(usual))
}

/// Waits until a member is to be asked again, after a question that was sent at `asked`. An election
/// that is requested while the answer is under way needs another one.
async fn wait_for_next(inner: &Inner, member: &Member, index: usize, asked: Instant) {
    sleep(SHORTEST_INTERVAL).await;
    let is_used = member.is_watched() || index == inner.leader.index();
    let pause = usual_pause(&inner.leader, is_used, Instant::now());
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
