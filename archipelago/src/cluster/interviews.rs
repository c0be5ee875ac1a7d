//! Who takes the writes: the primary of regions.toml, until another member is writable on a newer timeline.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::stream::{select_all, unfold};
use futures_util::{Stream, StreamExt};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::monitor::Pauses;
use super::{Inner, Member};
use crate::Protection;
use crate::connect::{ConnectError, Interview};
use crate::state::{Said, Server};

/// Between two questions to a member that answers, while nobody is known to lead: as long nobody can write.
const INTERVAL: Duration = Duration::from_millis(250);

/// Between two attempts to reach one that does not, at the most.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The member that takes the writes.
pub(super) struct Leader {
    index: AtomicUsize,
    /// 0 until it has said so.
    timeline: AtomicU32,
    /// How often all members were asked.
    rounds: watch::Sender<u64>,
    wanted: Notify,
}

impl Leader {
    pub(super) fn new(index: usize) -> Self {
        Self {
            index: AtomicUsize::new(index),
            timeline: AtomicU32::new(0),
            rounds: watch::Sender::new(0),
            wanted: Notify::new(),
        }
    }

    pub(super) fn index(&self) -> usize {
        self.index.load(Ordering::Relaxed)
    }

    pub(super) fn timeline(&self) -> u32 {
        self.timeline.load(Ordering::Relaxed)
    }

    pub(super) fn rounds(&self) -> u64 {
        *self.rounds.borrow()
    }

    /// Whether all members have been asked once, so that a primary that was replaced before this process began is known.
    pub(super) fn is_known(&self) -> bool {
        self.timeline() > 0 || self.rounds() > 0
    }

    /// Has all members asked, if so.
    pub(super) fn look_again_if(&self, wanted: bool) {
        if wanted {
            self.wanted.notify_one();
        }
    }

    /// Until there were more rounds, or another member leads.
    pub(super) async fn more_rounds_than(&self, before: u64) {
        let _ = self.rounds.subscribe().wait_for(|rounds| *rounds > before).await;
    }
}

/// Looks for the leader: at the start, and whenever it is down, refuses a write, or a newer timeline is shown.
pub(super) async fn follow(inner: Arc<Inner>) {
    loop {
        inner.watch(inner.leader());
        search(&inner).await;
        // A server that answers and refuses is not to be asked without a pause.
        sleep(INTERVAL).await;
        tokio::select! {
            () = inner.leader.wanted.notified() => {}
            () = inner.lineage.promoted() => {}
        }
    }
}

/// Asks every member again and again who is writable, each at its own pace, until all have answered at least once and the leader is
/// the newest, and answers.
async fn search(inner: &Inner) {
    let leader = &inner.leader;
    let mut answers = select_all(
        inner.members.iter().enumerate().map(|(index, member)| answers_of(index, member).boxed()),
    );
    let mut known = vec![None; inner.members.len()];
    let mut silent: Vec<_> = (0..inner.members.len()).collect();
    let mut rumour = inner.lineage.rumour();
    while let Some((index, answer)) = answers.next().await {
        silent.retain(|other| *other != index);
        known[index] = answer;
        if answer.is_some() && index == leader.index() && inner.leader().health.silence().is_some()
        {
            inner.leader().health.is_back();
        }
        // The first time nobody is chosen before all were asked: a primary that was replaced does not know it.
        if silent.is_empty() || leader.is_known() {
            choose(inner, &known);
        }
        if silent.is_empty() {
            if known.iter().all(Option::is_some) {
                inner.lineage.is_no_timeline(rumour);
            }
            leader.rounds.send_modify(|rounds| *rounds += 1);
            if leader.timeline() > 0
                && leader.timeline() >= inner.lineage.newest()
                && inner.leader().health.silence().is_none()
            {
                return;
            }
            silent = (0..inner.members.len()).collect();
            rumour = inner.lineage.rumour();
        }
    }
}

/// The one on the newest timeline. Where one database plays several regions, the one that has led before.
fn choose(inner: &Inner, answers: &[Option<Answer>]) {
    let (leads, known) = (inner.leader.index(), inner.leader.timeline());
    let members = || {
        answers
            .iter()
            .enumerate()
            .filter_map(|(index, answer)| answer.map(|(server, said)| (index, server, said)))
    };
    let system = match inner.lineage.system() {
        // Whose replicas the most are; or the primary of regions.toml.
        0 => {
            let like =
                |system: u64| members().filter(|(_, server, _)| server.system == system).count();
            members()
                .map(|(index, server, _)| (like(server.system), index == leads, server.system))
                .max()
                .map_or(0, |most| most.2)
        }
        system => system,
    };
    let knows_timelines = inner.lineage.protections.include(Protection::Timeline);
    let writable =
        members().filter(|(_, server, said)| server.system == system && !said.is_replica);
    let newest = writable
        .map(|(index, _, said)| (if knows_timelines { said.timeline } else { 1 }, index))
        .max_by_key(|(timeline, index)| (*timeline, *index == leads));
    if newest.is_some() {
        inner.lineage.is_of(system);
    }
    if knows_timelines {
        // Also what a replica follows: its primary may be the one who does not answer.
        members().for_each(|(_, server, said)| inner.lineage.shown(server.system, said.timeline));
    }
    let Some((timeline, index)) = newest.filter(|(timeline, _)| *timeline > known) else { return };
    inner.leader.index.store(index, Ordering::Relaxed);
    inner.leader.timeline.store(timeline, Ordering::Relaxed);
    inner.watch(inner.leader());
    if index != leads {
        let region = inner.leader().info().code;
        tracing::warn!(
            region,
            timeline,
            "this region's database is the primary now: writes go there"
        );
        inner.leader.rounds.send_modify(|rounds| *rounds += 1);
    }
}

/// Who a server is, and how it stands.
type Answer = (Server, Said);

/// What a member says of itself every now and then: none as long as it does not answer. Its connection is kept, as that of a replica
/// survives its promotion.
fn answers_of(index: usize, member: &Member) -> impl Stream<Item = (usize, Option<Answer>)> {
    let begin = (None::<Interview>, Pauses::up_to(LONGEST_PAUSE), false);
    unfold(begin, move |(open, mut pauses, has_answered)| async move {
        if has_answered {
            sleep(if open.is_some() { INTERVAL } else { pauses.next() }).await;
        }
        let asked = timeout(member.reading.timeouts().checkout, async {
            let open = match open {
                Some(open) => open,
                None => member.reading.monitor().interview().await?,
            };
            let answer = open.ask().await?;
            Ok::<_, ConnectError>((open, answer))
        });
        let (open, answer) = match asked.await {
            Ok(Ok((open, answer))) => (Some(open), Some(answer)),
            Ok(Err(error)) => {
                tracing::debug!(region = member.info().code, %error, "does not say whether it is the primary");
                (None, None)
            }
            Err(_) => (None, None),
        };
        Some(((index, answer), (open, pauses, true)))
    })
}
