//! Waiting for what was sent to arrive, on a clock that is accurate to a fraction of a millisecond.

use std::future::pending;
use std::time::Instant;

use async_io::Timer;
use tokio::select;
use tokio::sync::watch;

use crate::lines::line::State;

/// Somebody who waits at the end of a line.
///
/// The clock is async-io's: tokio's counts whole milliseconds and rounds up, which is 1 ms late on average, twice in a round
/// trip. async-io gives the system the very nanosecond, and is late by no more than a sleeping thread is: some 100 µs.
#[derive(Debug)]
pub(super) struct Crossing {
    line: watch::Receiver<State>,
    alarm: Timer,
    set: Option<Instant>,
}

impl Crossing {
    pub(super) fn of(line: watch::Receiver<State>) -> Self {
        Self { line, alarm: Timer::never(), set: None }
    }

    /// Returns when what was sent at this moment has arrived, whatever happens to the line meanwhile. Nothing is lost when it
    /// is dropped and asked again.
    pub(super) async fn since(&mut self, sent: Instant) {
        loop {
            let arrival = self.line.borrow_and_update().arrival(sent);
            if arrival.is_some_and(|arrival| arrival <= Instant::now()) {
                return;
            }
            self.set_alarm(arrival);
            select! {
                _ = &mut self.alarm, if arrival.is_some() => {}
                changed = self.line.changed() => if changed.is_err() {
                    // The world has ended, and this task is about to.
                    pending::<()>().await;
                }
            }
        }
    }

    /// Setting an alarm costs more than looking whether it is set.
    fn set_alarm(&mut self, arrival: Option<Instant>) {
        if let Some(arrival) = arrival.filter(|_| arrival != self.set) {
            self.alarm.set_at(arrival);
            self.set = Some(arrival);
        }
    }
}
