//! Runs with faults by fixed seeds break no promise; a failure prints the command that replays it.
//!
//! The program itself draws a new seed for each run.

use std::collections::BTreeSet;

use archipelago_checker::nemesis::FaultKind;
use archipelago_checker::run::RunPlan;
use futures_util::future::join_all;

/// Runs at the same time.
const RUNS: u64 = 2;

/// Steps of each run. All runs together have ten, which is enough for every kind of fault.
const STEPS: usize = 5;

/// Clients of each run.
const CLIENTS: u32 = 15;

fn plans(first_seed: u64) -> Vec<RunPlan> {
    (first_seed..first_seed + RUNS).map(|seed| RunPlan::random(seed, STEPS, CLIENTS)).collect()
}

fn have_every_kind(plans: &[RunPlan]) -> bool {
    let steps = plans.iter().flat_map(|plan| &plan.schedule.steps);
    let faults = steps.flat_map(|step| &step.faults);
    let kinds: BTreeSet<_> = faults.map(|scheduled| scheduled.fault.kind()).collect();
    kinds == BTreeSet::from(FaultKind::ALL)
}

#[tokio::test(flavor = "multi_thread")]
async fn seeded_faults_break_no_promise() {
    // Which seeds have every kind depends on the regions.
    let mut candidates = (0..1_000_000).map(plans);
    let plans = candidates.find(|plans| have_every_kind(plans)).unwrap();
    join_all(plans.iter().map(async |plan| {
        let replay = plan.replay_command();
        println!("{replay}");
        let run = plan.execute().await.unwrap_or_else(|error| panic!("{error}\n{replay}"));
        let violations = run.violations();
        assert!(violations.is_empty(), "{}{violations}replay: {replay}", plan.schedule);
    }))
    .await;
}
