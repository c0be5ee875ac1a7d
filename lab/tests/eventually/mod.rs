//! Waiting for the thing itself, with a deadline.

use std::time::{Duration, Instant};

/// How often the thing is looked at.
const POLL: Duration = Duration::from_millis(20);

pub async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    let mut looks = tokio::time::interval(POLL);
    while !is_so() {
        assert!(since.elapsed() < Duration::from_secs(30), "waited in vain: {what}");
        looks.tick().await;
    }
}
