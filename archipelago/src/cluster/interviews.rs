//! Holds the elections: asks every member for its report until a leader that answers is elected.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{select_all, unfold};
use futures_util::{Stream, StreamExt};
use tokio::time::{sleep, timeout};

use super::backoff::Backoff;
use super::election::{Elected, Known, Reply, elect};
use super::{Inner, Member};
use crate::connection::Interview;
use crate::error::DownReason;
use crate::settings::Safeguard;

/// The pause between two questions to a member that answers. After a promotion writes wait about
/// this long.
const INTERVAL: Duration = Duration::from_millis(250);

/// The longest pause between two attempts to reach a member that does not answer.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Holds elections: at the start, and whenever the leader is down, refuses a write, or a newer
/// timeline is shown or claimed.
pub(super) async fn hold_elections(inner: Arc<Inner>) {
    loop {
        inner.watch(inner.leader());
        interview_all(&inner).await;
        // A server that answers and refuses is not asked again without a pause.
        sleep(INTERVAL).await;
        tokio::select! {
            () = inner.leader.election_requested() => {}
            () = inner.timelines.newer_timeline() => {}
        }
    }
}

/// Asks every member at its own pace. Returns at the end of a round (each has replied or timed out
/// once) after which the leader is on the newest timeline and not silent.
async fn interview_all(inner: &Inner) {
    let Inner { leader, members, timelines, .. } = inner;
    let mut interviews = select_all(
        members.iter().enumerate().map(|(index, member)| interviews_of(index, member).boxed()),
    );
    let all: Vec<_> = (0..members.len()).collect();
    let mut replies = vec![None; members.len()];
    let mut outstanding = all.clone();
    let mut claim = timelines.claimed();
    while let Some((index, answer)) = interviews.next().await {
        outstanding.retain(|other| *other != index);
        replies[index] = answer;
        if answer.is_some() && index == leader.index() && inner.leader().health.is_silent() {
            inner.leader().health.mark_recovered();
        }
        // The first leader is elected once all were asked: a superseded primary is unaware of it.
        if outstanding.is_empty() || leader.has_held_election() {
            apply_election(inner, &replies);
        }
        if outstanding.is_empty() {
            if replies.iter().all(Option::is_some) {
                timelines.disprove(claim);
            }
            leader.end_round();
            let is_newest = leader.timeline() > 0 && leader.timeline() >= timelines.newest();
            if is_newest && !inner.leader().health.is_silent() {
                return;
            }
            outstanding.clone_from(&all);
            claim = timelines.claimed();
        }
    }
}

/// Elects a leader, and lets the cluster follow it if its timeline is newer than before.
fn apply_election(inner: &Inner, replies: &[Option<Reply>]) {
    let Inner { leader, timelines, .. } = inner;
    let compares_timelines = timelines.safeguards.has(Safeguard::Timeline);
    let known = Known { system: timelines.system(), leader: leader.index(), compares_timelines };
    let elected = elect(replies, known);
    if let Some(Elected { system, .. }) = elected {
        timelines.set_system(system);
    }
    if compares_timelines {
        // The timelines of replicas count as well: the primary that they follow may not answer.
        for (identity, report) in replies.iter().flatten() {
            timelines.observe(identity.system, report.timeline);
        }
    }
    let is_newer = |elected: &Elected| elected.timeline > leader.timeline();
    let Some(Elected { index, timeline, .. }) = elected.filter(is_newer) else { return };
    inner.watch(&inner.members[index]);
    leader.set(index, timeline);
    if index != known.leader {
        let region = inner.leader().info().code;
        tracing::warn!(
            region,
            timeline,
            "this region's database is the primary now: writes go there"
        );
    }
}

/// The answers of one member, every now and then: None where it does not answer. The connection is
/// kept, as that of a replica survives its promotion.
fn interviews_of(index: usize, member: &Member) -> impl Stream<Item = (usize, Option<Reply>)> {
    let begin = (None::<Interview>, Backoff::up_to(LONGEST_PAUSE), true);
    unfold(begin, move |(open, mut backoff, is_first)| async move {
        if !is_first {
            sleep(if open.is_some() { INTERVAL } else { backoff.next_pause() }).await;
        }
        let interview = timeout(member.reading.timeouts().checkout, async {
            let open = match open {
                Some(open) => open,
                None => member.reading.monitor_connector().interview().await?,
            };
            let answer = open.ask().await?;
            Ok::<_, DownReason>((open, answer))
        });
        let (open, answer) = match interview.await {
            Ok(Ok((open, answer))) => (Some(open), Some(answer)),
            Ok(Err(error)) => {
                let region = member.info().code;
                tracing::debug!(region, %error, "does not say whether it is the primary");
                (None, None)
            }
            Err(_) => (None, None),
        };
        Some(((index, answer), (open, backoff, false)))
    })
}
