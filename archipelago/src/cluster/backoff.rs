//! Pauses between attempts, each twice as long as the one before.

use std::time::Duration;

/// Before the second attempt.
const FIRST: Duration = Duration::from_millis(250);

/// The pauses of one series of attempts.
pub(super) struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    pub(super) fn up_to(longest: Duration) -> Self {
        Self { next: FIRST, longest }
    }

    /// How long to wait before the next attempt.
    pub(super) fn next_pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        pause
    }
}
