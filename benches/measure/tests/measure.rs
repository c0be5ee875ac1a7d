//! Which latencies a measurement records, on a paused clock.

use std::cell::Cell;
use std::future::pending;
use std::time::Duration;

use archipelago_measure::{Outcome, Plan};
use tokio::time::sleep;

const PLAN: Plan = Plan {
    warm_up: Duration::from_secs(1),
    time: Duration::from_secs(10),
    parallel: 1,
    rate: None,
};

async fn measure(plan: Plan, operation: impl AsyncFn() -> Result<usize, String>) -> Outcome {
    plan.measure(pending(), operation).await.unwrap()
}

/// Compares to three digits, which the histogram keeps.
#[track_caller]
fn assert_is(found: Option<Duration>, milliseconds: f64) {
    let found = found.unwrap().as_secs_f64() * 1000.0;
    assert!((found / milliseconds - 1.0).abs() < 0.001, "{found} ms is not {milliseconds} ms");
}

/// 99 of 100 iterations take 10 ms, one takes 110 ms: 11 ms on average.
#[tokio::test(start_paused = true)]
async fn the_figures_of_a_known_operation() {
    let calls = Cell::new(0);
    let plan = Plan { warm_up: Duration::ZERO, time: Duration::from_millis(1100), ..PLAN };
    let outcome = measure(plan, async || {
        calls.update(|calls| calls + 1);
        sleep(Duration::from_millis(if calls.get() == 50 { 110 } else { 10 })).await;
        Ok(7)
    })
    .await;
    assert_eq!((outcome.succeeded, outcome.errors, outcome.rows), (100, 0, Some(7)));
    assert_eq!(outcome.elapsed, plan.time);
    assert_is(outcome.average(), 11.0);
    assert_is(outcome.percentile(50.0), 10.0);
    assert_is(outcome.percentile(99.0), 10.0);
    assert_is(outcome.percentile(100.0), 110.0);
    assert!((outcome.per_second().unwrap() - 100.0 / 1.1).abs() < 1e-6);
    // The root of 0.99 · 1² + 0.01 · 99² is 9.95.
    assert!((outcome.deviation().unwrap() - 9.95 / 11.0).abs() < 0.001);
}

#[tokio::test(start_paused = true)]
async fn the_warm_up_does_not_count() {
    let first = Cell::new(true);
    let outcome = measure(PLAN, async || {
        sleep(Duration::from_millis(if first.replace(false) { 900 } else { 10 })).await;
        Ok(1)
    })
    .await;
    assert_eq!((outcome.succeeded, outcome.elapsed), (1000, PLAN.time));
    assert_is(outcome.percentile(100.0), 10.0);
}

#[tokio::test(start_paused = true)]
async fn parallel_loops_do_not_wait_for_each_other() {
    let operation = async || {
        sleep(Duration::from_millis(100)).await;
        Ok(1)
    };
    let outcome = measure(Plan { parallel: 50, ..PLAN }, operation).await;
    assert_eq!(outcome.succeeded, 50 * 100);
    assert_is(outcome.average(), 100.0);
    assert!((outcome.per_second().unwrap() - 500.0).abs() < 1e-6);
}

/// An operation of 5 ms that stalls once, for two of ten seconds.
async fn stalled_once(rate: Option<u32>) -> Outcome {
    let calls = Cell::new(0);
    let plan = Plan { warm_up: Duration::ZERO, time: Duration::from_millis(9995), rate, ..PLAN };
    measure(plan, async || {
        calls.update(|calls| calls + 1);
        sleep(Duration::from_millis(if calls.get() == 200 { 2000 } else { 5 })).await;
        Ok(1)
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn without_a_rate_a_stall_is_one_slow_iteration() {
    let outcome = stalled_once(None).await;
    assert_eq!(outcome.never_begun, 0);
    assert_is(outcome.percentile(99.0), 5.0);
}

#[tokio::test(start_paused = true)]
async fn at_a_rate_a_stall_delays_all_iterations_that_were_due() {
    let outcome = stalled_once(Some(100)).await;
    assert_eq!((outcome.succeeded, outcome.never_begun), (1000, 0), "the loop caught up");
    assert_is(outcome.percentile(50.0), 5.0);
    assert!(outcome.percentile(75.0).unwrap() > Duration::from_millis(400), "{outcome:?}");
    assert!(outcome.percentile(99.0).unwrap() > Duration::from_millis(1800), "{outcome:?}");
    assert!((outcome.per_second().unwrap() - 100.0).abs() < 0.1, "{:?}", outcome.per_second());
}

#[tokio::test(start_paused = true)]
async fn iterations_that_never_began_have_a_latency() {
    let plan =
        Plan { warm_up: Duration::ZERO, time: Duration::from_secs(1), rate: Some(100), ..PLAN };
    let outcome = measure(plan, async || {
        sleep(Duration::from_millis(500)).await;
        Ok(1)
    })
    .await;
    assert_eq!((outcome.succeeded, outcome.never_begun), (2, 98));
    assert_eq!(outcome.elapsed, Duration::from_secs(1));
    assert_is(outcome.percentile(99.0), 980.0);
    assert_is(outcome.percentile(100.0), 990.0);
}

#[tokio::test(start_paused = true)]
async fn errors_are_counted_and_do_not_end_the_measurement() {
    let calls = Cell::new(0);
    let outcome = measure(
        Plan { warm_up: Duration::ZERO, time: Duration::from_secs(1), ..PLAN },
        async || {
            calls.update(|calls| calls + 1);
            sleep(Duration::from_millis(100)).await;
            if calls.get() % 2 == 0 { Err(format!("refused {}", calls.get())) } else { Ok(3) }
        },
    )
    .await;
    // Three tenths for a pair: one that succeeds, one that fails, and the pause after it.
    assert_eq!((outcome.succeeded, outcome.errors, outcome.rows), (4, 3, Some(3)));
    assert!(outcome.last_error.unwrap().starts_with("refused "));
}

#[tokio::test(start_paused = true)]
async fn what_only_fails_has_no_figures() {
    let outcome = measure(PLAN, async || Err("refused".to_owned())).await;
    assert_eq!((outcome.succeeded, outcome.errors), (0, 100));
    assert_eq!((outcome.average(), outcome.percentile(99.0), outcome.rows), (None, None, None));
    assert!(outcome.per_second().is_none() && outcome.deviation().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_stop_finishes_what_is_under_way() {
    let (begun, ended) = (Cell::new(0), Cell::new(0));
    let operation = async || {
        begun.update(|begun| begun + 1);
        sleep(Duration::from_millis(300)).await;
        ended.update(|ended| ended + 1);
        Ok::<_, String>(1)
    };
    let stop = sleep(Duration::from_millis(3100));
    // Three warm up until 1.2 s; at 3.1 s each is in its seventh iteration.
    let outcome = Plan { parallel: 3, ..PLAN }.measure(stop, operation).await.unwrap();
    assert_eq!(outcome.succeeded, 3 * 7);
    assert_eq!(outcome.elapsed, Duration::from_millis(2100));
    assert_eq!(begun.get(), ended.get());
}
