//! A progress bar on standard error; nothing is shown where that is not a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

use crate::plan::Plan;

const BETWEEN_UPDATES: Duration = Duration::from_millis(100);

/// One bar for all subjects that are measured one after the other.
///
/// The bar follows the clock, so it does not disturb what is measured.
pub struct Progress {
    bar: ProgressBar,
    subjects: u32,
    /// How long one subject takes.
    time: Duration,
}

impl Progress {
    /// A bar for `subjects` subjects, each measured by `plan`.
    #[must_use]
    pub fn new(plan: &Plan, subjects: u32) -> Self {
        let time = plan.warm_up.saturating_add(plan.time);
        let bar = ProgressBar::new(milliseconds(time.saturating_mul(subjects)));
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {eta}") {
            bar.set_style(style);
        }
        Self { bar, subjects, time }
    }

    /// Shows that `subject` is measured, after `done` others. The bar advances until the returned
    /// task is dropped.
    #[must_use]
    pub fn advance(&self, done: u32, subject: &str) -> JoinSet<()> {
        let (bar, time) = (self.bar.clone(), self.time);
        bar.set_message(format!("{subject} ({} of {})", done + 1, self.subjects));
        let mut advancing = JoinSet::new();
        advancing.spawn(async move {
            let begin = Instant::now();
            let mut updates = interval(BETWEEN_UPDATES);
            loop {
                updates.tick().await;
                bar.set_position(milliseconds(
                    time.saturating_mul(done).saturating_add(begin.elapsed().min(time)),
                ));
            }
        });
        advancing
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
