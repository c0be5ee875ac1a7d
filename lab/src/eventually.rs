//! Waiting for a condition in a test, with a deadline.

use std::fmt::Debug;
use std::panic::Location;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, timeout};

/// The pause between two checks.
const PAUSE: Duration = Duration::from_millis(20);

/// Waits until a condition holds, and returns what it holds.
///
/// The condition is checked every 20 milliseconds. It may be a `bool`, an `Option` whose value is
/// waited for, or a `Result` whose last error the failure shows.
///
/// ```
/// # async fn example(world: archipelago_lab::World) {
/// use std::time::Duration;
///
/// use archipelago_lab::eventually;
///
/// const DEADLINE: Duration = Duration::from_secs(30);
///
/// let primary = world.primary();
/// eventually("the primary is gone", DEADLINE, async || !primary.is_running()).await;
///
/// let client = eventually("the primary answers", DEADLINE, async || primary.client().await).await;
/// # drop(client);
/// # }
/// ```
///
/// # Panics
/// When the condition does not hold before the deadline, or one check takes that long.
#[track_caller]
pub fn eventually<C: Condition>(
    what: &str,
    deadline: Duration,
    mut check: impl AsyncFnMut() -> C,
) -> impl Future<Output = C::Value> {
    let caller = Location::caller();
    async move {
        let mut last = None;
        let waiting = async {
            let mut checks = interval(PAUSE);
            checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                checks.tick().await;
                match check().await.value() {
                    Ok(value) => return value,
                    Err(why) => last = why,
                }
            }
        };
        if let Ok(value) = timeout(deadline, waiting).await {
            return value;
        }
        let last = last.map(|why| format!("; the last check gave {why}")).unwrap_or_default();
        panic!("not within {deadline:?}: {what}{last} (waited for at {caller})");
    }
}

/// What [`eventually`] can wait for: a `bool`, an `Option` or a `Result`.
pub trait Condition {
    /// What is there once the condition holds.
    type Value;

    /// The value, or what the check gave instead where that says more than "no".
    #[doc(hidden)]
    fn value(self) -> Result<Self::Value, Option<String>>;
}

impl Condition for bool {
    type Value = ();

    fn value(self) -> Result<(), Option<String>> {
        if self { Ok(()) } else { Err(None) }
    }
}

impl<T> Condition for Option<T> {
    type Value = T;

    fn value(self) -> Result<T, Option<String>> {
        self.ok_or(None)
    }
}

impl<T, E: Debug> Condition for Result<T, E> {
    type Value = T;

    fn value(self) -> Result<T, Option<String>> {
        self.map_err(|error| Some(format!("{error:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_condition_that_comes_true_ends_the_wait() {
        let mut checks = 0;
        eventually("three checks", DEADLINE, async || {
            checks += 1;
            checks == 3
        })
        .await;
        assert_eq!(checks, 3);
        assert_eq!(eventually("a value", DEADLINE, async || Some("value")).await, "value");
    }

    #[tokio::test(start_paused = true)]
    #[should_panic(
        expected = "not within 1s: the answer; the last check gave \"wrong\" (waited for at lab/src/eventually.rs"
    )]
    async fn a_failure_shows_the_last_error_and_the_caller() {
        eventually("the answer", DEADLINE, async || Err::<(), _>("wrong")).await;
    }

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "not within 1s: an end")]
    async fn a_check_that_never_returns_is_ended() {
        eventually("an end", DEADLINE, async || std::future::pending::<bool>().await).await;
    }
}
