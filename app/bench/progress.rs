//! How far a benchmark is, on standard error; nothing where that is no terminal.

use std::time::Duration;

use archipelago_measure::Plan;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// A bar for all regions together. It goes by the clock, and asks nothing of those who measure.
pub(super) struct Progress {
    bar: ProgressBar,
    regions: u32,
    /// That each region takes.
    time: Duration,
}

impl Progress {
    /// Of a plan that is carried out for so many regions.
    pub(super) fn new(plan: &Plan, regions: u32) -> Self {
        let time = plan.warm_up.saturating_add(plan.time);
        let bar = ProgressBar::new(milliseconds(time.saturating_mul(regions)));
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {eta}") {
            bar.set_style(style);
        }
        Self { bar, regions, time }
    }

    /// The bar is at region `code`, after `done` others, and moves until what this returns is dropped.
    pub(super) fn moving(&self, done: u32, code: &str) -> JoinSet<()> {
        let (bar, time) = (self.bar.clone(), self.time);
        bar.set_message(format!("{code} ({} of {})", done + 1, self.regions));
        let mut moving = JoinSet::new();
        moving.spawn(async move {
            let begin = Instant::now();
            let mut looks = interval(BETWEEN_LOOKS);
            loop {
                looks.tick().await;
                bar.set_position(milliseconds(
                    time.saturating_mul(done).saturating_add(begin.elapsed().min(time)),
                ));
            }
        });
        moving
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
