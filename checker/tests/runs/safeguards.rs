//! Checks the checker: with each safeguard off it finds the violation that the safeguard prevents,
//! and with all of them on it finds none.

use std::time::Duration;

use archipelago::Safeguard;
use archipelago_checker::check::Anomaly;
use archipelago_checker::deployment::{InstanceConfig, MAX_LAG, regions};
use archipelago_checker::nemesis::{Fault, OldPrimary, Schedule, ScheduleStep, ScheduledFault};
use archipelago_checker::run::{Run, RunPlan};
use archipelago_checker::workload::Workload;

use super::{AT_ONCE, PERMITS, log_as_the_environment_says};

/// Hits every replica at the same time.
fn all_replicas(lasts: Duration, fault: impl Fn(String) -> Fault) -> Schedule {
    let faults = regions()
        .into_iter()
        .skip(1)
        .map(|region| ScheduledFault {
            after: Duration::ZERO,
            lasts,
            fault: fault(region.to_owned()),
        })
        .collect();
    Schedule { steps: vec![ScheduleStep { calm: Duration::from_secs(1), faults }] }
}

/// Shorter than `max_lag`, so that no replica is skipped for its lag.
fn short_pause() -> Schedule {
    all_replicas(Duration::from_millis(1500), Fault::PauseReplay)
}

/// Longer than `max_lag`.
fn long_pause() -> Schedule {
    all_replicas(Duration::from_secs(8), Fault::PauseReplay)
}

/// The delay is far longer than a client takes to read what it wrote, and shorter than the second
/// between two heartbeats of the primary.
fn lag() -> Schedule {
    all_replicas(Duration::from_secs(8), |region| Fault::Lag(region, Duration::from_millis(400)))
}

/// Twice as long as instances have to notice it, and longer: this process may stall meanwhile.
fn split_brain() -> Schedule {
    promotions([(regions()[1], OldPrimary::Running, 15)])
}

/// The old primary is the region that regions.toml lists as the first replica. The instance in that
/// region would read from it.
fn split_brain_of_former_replicas() -> Schedule {
    promotions([(regions()[1], OldPrimary::Stopped, 1), (regions()[2], OldPrimary::Running, 9)])
}

fn one_fault(fault: Fault, seconds: u64) -> Schedule {
    Schedule::sequence(Duration::from_secs(1), [(Duration::from_secs(seconds), fault)])
}

fn twin() -> Schedule {
    one_fault(Fault::Twin(regions()[1].to_owned()), 6)
}

fn clone() -> Schedule {
    one_fault(Fault::Clone(regions()[1].to_owned()), 6)
}

/// Longer than instances have to notice it.
fn put_back() -> Schedule {
    one_fault(Fault::PutBack, 9)
}

/// The region in which a hopping client reads last.
fn last_replica_lags() -> Schedule {
    one_fault(Fault::Lag(regions()[2].to_owned(), Duration::from_millis(400)), 15)
}

/// Longer than `max_lag`.
fn slow_clock() -> Schedule {
    one_fault(Fault::Clock(regions()[1].to_owned(), -20), 8)
}

fn promotions(each: impl IntoIterator<Item = (&'static str, OldPrimary, u64)>) -> Schedule {
    let fault = |(region, old, seconds): (&str, OldPrimary, u64)| {
        (Duration::from_secs(seconds), Fault::Promote { region: region.to_owned(), old })
    };
    Schedule::sequence(Duration::from_secs(1), each.into_iter().map(fault))
}

/// Clients stay in their region, as one that moves may carry a position that protects it.
async fn run(schedule: Schedule, workload: Workload, disabled: &[Safeguard]) -> Run {
    log_as_the_environment_says();
    // Other clients' commits would also keep a replica from serving the read after a write.
    let clients = match workload {
        Workload::ReadAfterWrite => 1,
        // The more of them read, the more surely one does in the moment before a position passes.
        Workload::Hopping => 6,
        Workload::Overlapping => 5,
        Workload::Roaming | Workload::Stationary => 15,
    };
    let config = InstanceConfig { max_lag: MAX_LAG, disabled: disabled.to_vec() };
    let recovery = Duration::from_secs(1);
    RunPlan { seed: 1, schedule, recovery, clients, workload, config }.execute().await.unwrap()
}

/// Asserts that the checker finds this anomaly while the safeguards are off.
async fn assert_found(
    anomaly: Anomaly,
    disabled: &[Safeguard],
    schedule: Schedule,
    workload: Workload,
) {
    let _permit = PERMITS.acquire().await.unwrap();
    let run = run(schedule, workload, disabled).await;
    let mut violations = run.analysis.violations.iter();
    let Some(found) = violations.find(|violation| violation.anomaly == anomaly) else {
        let (stalls, others) = (run.history.stalls.len(), run.violations());
        panic!("{disabled:?} is off, no {anomaly}, {stalls} stalls:\n{others}");
    };
    println!("{disabled:?} is off: {}", found.explain(&run.history));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_cookie_clients_miss_their_writes() {
    assert_found(
        Anomaly::OwnWriteMissing,
        &[Safeguard::Cookie],
        short_pause(),
        Workload::Stationary,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_positions_before_the_commit_clients_miss_writes() {
    assert_found(
        Anomaly::OwnWriteMissing,
        &[Safeguard::AfterCommit],
        lag(),
        Workload::ReadAfterWrite,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_max_lag_reads_are_stale() {
    assert_found(Anomaly::StaleRead, &[Safeguard::MaxLag], long_pause(), Workload::Stationary)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_timelines_an_old_primary_gets_writes() {
    assert_found(
        Anomaly::WriteToOldPrimary,
        &[Safeguard::Timeline, Safeguard::Role, Safeguard::Fitness],
        split_brain(),
        Workload::Stationary,
    )
    .await;
}

/// The first reader is in the old primary's region and carries nothing newer than that server shows.
/// Each of the two safeguards would do here.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_role_check_reads_are_stale() {
    assert_found(
        Anomaly::StaleRead,
        &[Safeguard::Role, Safeguard::Fitness],
        split_brain_of_former_replicas(),
        Workload::Stationary,
    )
    .await;
}

/// A twin is in the first replica's region: the instance there reads from it. An election finds it
/// unfit, and a read asks again whether it leads: each of the two would do here.
#[tokio::test(flavor = "multi_thread")]
async fn without_an_election_a_twin_answers() {
    let off = [Safeguard::Fitness, Safeguard::Role];
    assert_found(Anomaly::WrongPrimary, &off, twin(), Workload::Stationary).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_evidence_a_clone_takes_the_writes() {
    assert_found(Anomaly::WrongPrimary, &[Safeguard::Evidence], clone(), Workload::Stationary)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_ahead_of_their_primary_show_lost_rows() {
    assert_found(
        Anomaly::LostHistoryServed,
        &[Safeguard::Fitness],
        put_back(),
        Workload::Stationary,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_skewed_clock_reads_are_stale() {
    if !archipelago_lab::can_set_clocks() {
        return println!("skipped: libfaketime is not installed");
    }
    assert_found(Anomaly::StaleRead, &[Safeguard::Clock], slow_clock(), Workload::Stationary).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_every_safeguard_no_promise_is_broken() {
    let _permits = PERMITS.acquire_many(AT_ONCE).await.unwrap();
    let steps = [short_pause(), long_pause(), split_brain_of_former_replicas()]
        .into_iter()
        .flat_map(|schedule| schedule.steps);
    let (many_clients, one_client) = tokio::join!(
        run(Schedule { steps: steps.collect() }, Workload::Stationary, &[]),
        run(lag(), Workload::ReadAfterWrite, &[]),
    );
    let hopping = run(last_replica_lags(), Workload::Hopping, &[]).await;
    for run in [many_clients, one_client, hopping] {
        assert!(run.analysis.violations.is_empty(), "{}", run.violations());
    }
}
