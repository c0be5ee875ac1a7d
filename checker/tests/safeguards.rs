//! The checker is checked: without each of the protections it finds the violation that it should, and with them none.

use std::time::Duration;

use archipelago::Protection;
use archipelago_checker::check::Promise;
use archipelago_checker::client::Manner;
use archipelago_checker::deployment::{Rules, regions};
use archipelago_checker::nemesis::fault::{Fault, Old};
use archipelago_checker::nemesis::schedule::{Planned, Schedule, Step};
use archipelago_checker::run::{MAX_LAG, Plan, Round};
use tokio::sync::Mutex;

/// One round at a time, so that each has the machine for itself.
static TURN: Mutex<()> = Mutex::const_new(());

/// Every replica, at the same time.
fn all_replicas(lasts: Duration, fault: impl Fn(String) -> Fault) -> Schedule {
    let replicas = regions().into_iter().skip(1);
    let faults = replicas
        .map(|region| Planned { after: Duration::ZERO, lasts, fault: fault(region.to_owned()) })
        .collect();
    Schedule { steps: vec![Step { calm: Duration::from_secs(1), faults }] }
}

/// Shorter than `max_lag`, so that nobody is passed over for that.
fn a_pause() -> Schedule {
    all_replicas(Duration::from_millis(1500), Fault::Pause)
}

/// Far longer than a visitor takes to look at what they wrote, and shorter than the second between two heartbeats of the primary.
fn a_lag() -> Schedule {
    all_replicas(Duration::from_secs(8), |region| Fault::Lag(region, Duration::from_millis(400)))
}

fn a_long_pause() -> Schedule {
    all_replicas(Duration::from_secs(8), Fault::Pause)
}

fn a_split_brain() -> Schedule {
    promotions([(regions()[1], Old::Running, 9)])
}

/// The old primary is one that regions.toml calls a replica, its first: the instance in its region would read from it.
fn a_split_brain_of_former_replicas() -> Schedule {
    promotions([(regions()[1], Old::Stopped, 1), (regions()[2], Old::Running, 9)])
}

fn promotions(each: impl IntoIterator<Item = (&'static str, Old, u64)>) -> Schedule {
    let fault = |(region, old, seconds): (&str, Old, u64)| {
        (Duration::from_secs(seconds), Fault::Promote { region: region.to_owned(), old })
    };
    Schedule::of(Duration::from_secs(1), each.into_iter().map(fault))
}

/// Each visitor stays in their region: who comes from another may carry a position that protects them. A watchful one is alone: with
/// others, there is a commit just before nearly each write, which the replica does not have either.
async fn play(schedule: Schedule, manner: Manner, without: Option<Protection>) -> Round {
    let _turn = TURN.lock().await;
    let (visitors, rules) =
        (if manner == Manner::Watchful { 1 } else { 15 }, Rules { max_lag: MAX_LAG, without });
    Plan { seed: 1, schedule, quiet: Duration::from_secs(1), visitors, manner, rules }
        .play()
        .await
        .unwrap()
}

/// Without the protection this promise is broken.
async fn assert_missed(
    protection: Protection,
    schedule: Schedule,
    manner: Manner,
    promise: Promise,
) {
    let round = play(schedule, manner, Some(protection)).await;
    let found = round.verdict.violations.iter().find(|it| it.promise == promise);
    let found = found.unwrap_or_else(|| {
        panic!("without {protection:?}, and yet no {promise}:\n{}", round.violations())
    });
    println!("without {protection:?}: {}", round.history.explain(found));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_cookie_visitors_miss_what_they_wrote() {
    assert_missed(Protection::Cookie, a_pause(), Manner::Staying, Promise::OwnWrites).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_position_from_before_the_commit_visitors_miss_what_they_wrote() {
    assert_missed(Protection::AfterCommit, a_lag(), Manner::Watchful, Promise::OwnWrites).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_limit_on_lag_reads_are_stale() {
    assert_missed(Protection::MaxLag, a_long_pause(), Manner::Staying, Promise::FreshEnough).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_positions_compared_across_timelines_an_old_primary_is_written_to() {
    assert_missed(Protection::Timeline, a_split_brain(), Manner::Staying, Promise::NoOldPrimary)
        .await;
}

/// The first who only reads stands where the old primary runs on, and carries nothing newer than what it shows.
#[tokio::test(flavor = "multi_thread")]
async fn without_asking_who_is_the_primary_reads_are_stale() {
    assert_missed(
        Protection::Role,
        a_split_brain_of_former_replicas(),
        Manner::Staying,
        Promise::FreshEnough,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_all_of_them_nothing_is_broken() {
    let steps = [a_pause(), a_long_pause(), a_split_brain_of_former_replicas()]
        .into_iter()
        .flat_map(|schedule| schedule.steps);
    for (schedule, manner) in
        [(Schedule { steps: steps.collect() }, Manner::Staying), (a_lag(), Manner::Watchful)]
    {
        let round = play(schedule, manner, None).await;
        assert!(round.verdict.violations.is_empty(), "{}", round.violations());
    }
}
