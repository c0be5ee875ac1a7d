//! Whether the monitor rests: no read or write has asked for a while, and a database that sleeps
//! while it is idle shall sleep.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// When reads and writes last asked, and whether an election was held since the last rest.
pub(super) struct Rest {
    /// How long none must have asked. None where the monitor never rests.
    after: Option<Duration>,
    created: Instant,
    /// When one last asked, in milliseconds since `created`.
    last_request: AtomicU64,
    /// When the last rest ended, in milliseconds since `created`, until an election was held since. 0
    /// after that.
    ended_at: AtomicU64,
    ended: Notify,
}

impl Rest {
    pub(super) fn new(after: Option<Duration>, now: Instant) -> Self {
        Self {
            after,
            created: now,
            last_request: AtomicU64::new(0),
            ended_at: AtomicU64::new(0),
            ended: Notify::new(),
        }
    }

    /// Records a read or a write, which ends a rest. Reads the clock only where there may be one.
    pub(super) fn note_request(&self, now: impl FnOnce() -> Instant) {
        if self.after.is_none() {
            return;
        }
        let now = now();
        let was_due = self.is_due(now);
        if was_due {
            // Before the time: a request that comes meanwhile sees one of the two.
            self.ended_at.fetch_max(self.milliseconds(now), Ordering::SeqCst);
        }
        self.last_request.fetch_max(self.milliseconds(now), Ordering::SeqCst);
        if was_due {
            self.ended.notify_waiters();
        }
    }

    /// Whether it is time to rest.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let last = Duration::from_millis(self.last_request.load(Ordering::SeqCst));
        let idle = now.saturating_duration_since(self.created).saturating_sub(last);
        self.after.is_some_and(|after| idle > after)
    }

    /// Resolves once it is not time to rest.
    pub(super) async fn ended(&self) {
        loop {
            // From here on no notification is missed.
            let ended = self.ended.notified();
            if !self.is_due(Instant::now()) {
                return;
            }
            ended.await;
        }
    }

    /// Whether the monitor may rest.
    pub(super) fn is_allowed(&self) -> bool {
        self.after.is_some()
    }

    /// The end of the last rest, if no election was held since. Before that no primary is trusted, as
    /// another may have been promoted meanwhile.
    pub(super) fn unelected_since(&self) -> Option<Instant> {
        self.after?;
        let ended_at = self.ended_at.load(Ordering::SeqCst);
        (ended_at > 0).then(|| self.created + Duration::from_millis(ended_at))
    }

    /// Records that every member was asked since the end of a rest.
    pub(super) fn note_election(&self, since: Instant) {
        let (since, order) = (self.milliseconds(since), Ordering::SeqCst);
        // Another rest may have ended meanwhile.
        let _ = self.ended_at.compare_exchange(since, 0, order, order);
    }

    fn milliseconds(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.created);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_request_ends_a_rest_and_asks_for_an_election() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let rest = Rest::new(Some(Duration::from_mins(1)), start);
        rest.note_request(|| at(50));
        assert!(!rest.is_due(at(110)) && rest.is_due(at(111)));
        assert_eq!(rest.unelected_since(), None, "requests came often enough");
        rest.note_request(|| at(200));
        assert!(!rest.is_due(at(201)));
        rest.note_request(|| at(202));
        assert_eq!(rest.unelected_since(), Some(at(200)), "no election was held yet");
        rest.note_request(|| at(300));
        rest.note_election(at(200));
        assert_eq!(rest.unelected_since(), Some(at(300)), "another rest has ended");
        rest.note_election(at(300));
        assert_eq!(rest.unelected_since(), None);
    }

    #[test]
    fn without_a_limit_there_is_no_rest() {
        let start = Instant::now();
        let rest = Rest::new(None, start);
        assert!(!rest.is_due(start + Duration::from_secs(1_000_000)));
        rest.note_request(|| start + Duration::from_secs(1_000_000));
        assert_eq!(rest.unelected_since(), None);
        assert!(rest.ended().now_or_never().is_some());
    }
}
