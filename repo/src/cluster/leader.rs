//! Who takes the writes: the primary of regions.toml, until another member is writable on a newer timeline.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::monitor::Pauses;
use super::{Inner, Member};
use crate::state::{Said, Server};

/// Between two rounds while nobody leads, at the most: as long nobody can write.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// For one member to say what it is, its connection included.
const SILENCE: Duration = Duration::from_secs(2);

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
        Self { index: AtomicUsize::new(index), timeline: AtomicU32::new(0), rounds: watch::Sender::new(0), wanted: Notify::new() }
    }

    pub(super) fn index(&self) -> usize {
        self.index.load(Ordering::Relaxed)
    }

    /// Whether all members have been asked once, so that a primary that was replaced before this process began is known.
    pub(super) fn is_known(&self) -> bool {
        self.timeline.load(Ordering::Relaxed) > 0 || *self.rounds.borrow() > 0
    }

    /// Has all members asked, if so.
    pub(super) fn look_again_if(&self, wanted: bool) {
        if wanted {
            self.wanted.notify_one();
        }
    }

    /// Until a round that begins after now has ended.
    pub(super) async fn asked_again(&self) {
        let mut rounds = self.rounds.subscribe();
        // The round that is under way may have asked before what the caller knows.
        let begun = *rounds.borrow();
        self.wanted.notify_one();
        let _ = rounds.wait_for(|rounds| *rounds > begun).await;
    }

    /// Until the first round has ended.
    pub(super) async fn known(&self) {
        let _ = self.rounds.subscribe().wait_for(|rounds| *rounds > 0).await;
    }
}

/// Asks all members who is writable: at the start, and whenever the leader is down, refuses a write, or a newer timeline is shown.
pub(super) async fn follow(inner: Arc<Inner>) {
    let leader = &inner.leader;
    loop {
        let mut pauses = Pauses::up_to(LONGEST_PAUSE);
        loop {
            inner.watch(inner.leader());
            ask_all(&inner).await;
            leader.rounds.send_modify(|rounds| *rounds += 1);
            let is_newest = leader.timeline.load(Ordering::Relaxed) >= inner.lineage.newest();
            if is_newest && inner.leader().health.is_up() {
                break;
            }
            let _ = timeout(pauses.next(), inner.lineage.promoted()).await;
        }
        tokio::select! {
            () = leader.wanted.notified() => {}
            () = inner.lineage.promoted() => {}
        }
        // Several find the same at the same moment.
        sleep(Duration::from_millis(5)).await;
    }
}

async fn ask_all(inner: &Inner) {
    let mut answers: FuturesUnordered<_> = (0..).zip(&inner.members).map(|(index, member)| who(index, member)).collect();
    let mut writable = Vec::new();
    while let Some(answer) = answers.next().await {
        let Some((index, server, said)) = answer else { continue };
        let system = inner.lineage.system();
        if said.is_replica || system != 0 && system != server.system {
            continue;
        }
        if inner.lineage.protections.timeline {
            inner.lineage.shown(said.timeline);
        }
        // Nobody has to wait for those who are silent.
        let is_known = inner.leader.timeline.load(Ordering::Relaxed) > 0;
        writable.push((said.timeline, index, server));
        if is_known {
            choose(inner, &writable);
        }
    }
    choose(inner, &writable);
}

/// The one on the newest timeline. Where one database plays several regions, the one that has led before.
fn choose(inner: &Inner, writable: &[(u32, usize, Server)]) {
    let leads = inner.leader.index();
    let Some((timeline, index, server)) = writable.iter().max_by_key(|(timeline, index, _)| (*timeline, *index == leads)) else {
        return;
    };
    if *timeline > inner.leader.timeline.load(Ordering::Relaxed) {
        inner.lineage.is_of(server.system);
        inner.leader.index.store(*index, Ordering::Relaxed);
        inner.leader.timeline.store(*timeline, Ordering::Relaxed);
        if *index != leads {
            let region = inner.leader().info().code;
            tracing::warn!(region, timeline, "this region's database is the primary now: writes go there");
            inner.leader.rounds.send_modify(|rounds| *rounds += 1);
        }
        inner.watch(inner.leader());
    }
}

async fn who(index: usize, member: &Arc<Member>) -> Option<(usize, Server, Said)> {
    match timeout(SILENCE, member.reading.monitor().who()).await {
        Ok(Ok((server, said))) => Some((index, server, said)),
        Ok(Err(error)) => {
            tracing::debug!(region = member.info().code, %error, "did not say whether it is the primary");
            None
        }
        Err(_) => None,
    }
}
