//! Each kind of fault that production has and promotions do not show breaks no promise.
//!
//! Minutes each, so that they run by hand:
//! `cargo test -p archipelago-checker --test runs -- --ignored`.

use std::time::Duration;

use archipelago_checker::deployment::{InstanceConfig, MAX_LAG, regions};
use archipelago_checker::nemesis::{
    Fault, OldPrimary, Right, Schedule, ScheduleStep, ScheduledFault,
};
use archipelago_checker::run::RunPlan;
use archipelago_checker::workload::Workload;

use super::PERMITS;

const CALM: Duration = Duration::from_secs(1);

/// Clients of each run.
const CLIENTS: u32 = 15;

fn region(index: usize) -> String {
    regions()[index].to_owned()
}

/// Each fault for so many seconds, one after the other.
fn sequence(faults: impl IntoIterator<Item = (u64, Fault)>) -> Schedule {
    let faults = faults.into_iter().map(|(seconds, fault)| (Duration::from_secs(seconds), fault));
    Schedule::sequence(CALM, faults)
}

/// Faults at the same time, each after and for so many seconds.
fn together(faults: impl IntoIterator<Item = (u64, u64, Fault)>) -> Schedule {
    let fault = |(after, lasts, fault)| ScheduledFault {
        after: Duration::from_secs(after),
        lasts: Duration::from_secs(lasts),
        fault,
    };
    let faults = faults.into_iter().map(fault).collect();
    Schedule { steps: vec![ScheduleStep { calm: CALM, faults }] }
}

async fn assert_no_promise_is_broken(schedules: impl IntoIterator<Item = Schedule>) {
    let _permit = PERMITS.acquire_many(2).await.unwrap();
    let schedule = Schedule { steps: schedules.into_iter().flat_map(|it| it.steps).collect() };
    let plan = RunPlan {
        seed: 1,
        schedule,
        recovery: Duration::from_secs(6),
        clients: CLIENTS,
        workload: Workload::Roaming,
        config: InstanceConfig { max_lag: MAX_LAG, disabled: vec![] },
    };
    let run = plan.execute().await.unwrap();
    for (fault, why) in &run.skipped {
        println!("skipped: {fault}: {why}");
    }
    let (violations, count) = (run.violations(), run.analysis.violations.len());
    assert!(count == 0, "{}{count} violations:\n{violations}", plan.schedule);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes"]
async fn only_the_leader_answers_as_a_primary() {
    let twin = (6, Fault::Twin(region(1)));
    let clone = (6, Fault::Clone(region(2)));
    let apart = (6, Fault::ClonesApart(region(1), region(3)));
    assert_no_promise_is_broken([sequence([twin, clone, apart])]).await;
}

/// The instance beside the new primary has asked no replica since the promotion when that crashes.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes"]
async fn replicas_that_were_never_asked_serve() {
    let promoted = Fault::Promote { region: region(1), old: OldPrimary::Running };
    let crashed = Fault::Kill(region(1));
    assert_no_promise_is_broken([sequence([(9, promoted), (5, crashed)])]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes"]
async fn replaced_data_is_noticed() {
    let put_back = (8, Fault::PutBack);
    let restore = (2, Fault::Restore);
    assert_no_promise_is_broken([sequence([put_back, restore])]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes"]
async fn errors_are_told_by_their_code() {
    let ended = together([
        (0, 6, Fault::Language),
        (1, 2, Fault::EndSessions(region(0))),
        (3, 2, Fault::EndSessions(region(1))),
    ]);
    let crash = together([(0, 8, Fault::Language), (1, 2, Fault::Kill(region(1)))]);
    let altered = sequence([(4, Fault::AlterType), (4, Fault::Blackhole(region(1), region(0)))]);
    assert_no_promise_is_broken([ended, crash, altered]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes"]
async fn a_role_without_rights_and_a_slow_clock() {
    let revoked = sequence(Right::ALL.map(|right| (4, Fault::Revoke(right))));
    let clock = sequence([(6, Fault::Clock(region(1), -20))]);
    assert_no_promise_is_broken([revoked, clock]).await;
}
