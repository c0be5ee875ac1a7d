//! Waiting for bytes to arrive, by a clock that is accurate to a fraction of a millisecond.

use std::future::pending;
use std::time::Instant;

use async_io::Timer;
use tokio::select;
use tokio::sync::watch;

use crate::links::link::LinkState;

/// Waits at the end of a link.
///
/// The clock is async-io's: tokio's counts whole milliseconds and rounds up, which is 1 ms late on
/// average, twice in a round trip. async-io passes nanoseconds to the system, and is as late as a
/// sleeping thread is: some 100 µs.
#[derive(Debug)]
pub(super) struct Arrival {
    link: watch::Receiver<LinkState>,
    alarm: Timer,
    /// What the alarm is set to.
    set: Option<Instant>,
}

impl Arrival {
    pub(super) fn over(link: watch::Receiver<LinkState>) -> Self {
        Self { link, alarm: Timer::never(), set: None }
    }

    /// Returns when what was sent at this moment has arrived, by the link's state at each moment.
    /// It may be cancelled and called again.
    pub(super) async fn of_what_was_sent_at(&mut self, sent: Instant) {
        loop {
            let arrival = self.link.borrow_and_update().arrival(sent);
            if arrival.is_some_and(|arrival| arrival <= Instant::now()) {
                return;
            }
            self.set_alarm(arrival);
            select! {
                _ = &mut self.alarm, if arrival.is_some() => {}
                changed = self.link.changed() => if changed.is_err() {
                    // The world has ended, and this task is about to.
                    pending::<()>().await;
                }
            }
        }
    }

    /// Sets the alarm only where it changes, because setting it costs more than the comparison.
    fn set_alarm(&mut self, arrival: Option<Instant>) {
        if let Some(arrival) = arrival.filter(|_| arrival != self.set) {
            self.alarm.set_at(arrival);
            self.set = Some(arrival);
        }
    }
}
