//! Runs with faults by fixed seeds break no promise; a failure prints the command that replays it.
//!
//! The program itself draws a new seed for each run.

use archipelago_checker::run::RunPlan;
use futures_util::future::join_all;

use super::PERMITS;

/// The seeds of the runs, which go on at the same time.
const SEEDS: [u64; 2] = [1, 2];

/// Steps of each run. `faults.rs` has the kinds of faults that these do not.
const STEPS: usize = 5;

/// Clients of each run.
const CLIENTS: u32 = 15;

#[tokio::test(flavor = "multi_thread")]
async fn seeded_faults_break_no_promise() {
    let _permits = PERMITS.acquire_many(2).await.unwrap();
    join_all(SEEDS.iter().map(async |seed| {
        let plan = RunPlan::random(*seed, STEPS, CLIENTS);
        let replay = plan.replay_command();
        println!("{replay}");
        let run = plan.execute().await.unwrap_or_else(|error| panic!("{error}\n{replay}"));
        let violations = run.violations();
        assert!(violations.is_empty(), "{}{violations}replay: {replay}", plan.schedule);
    }))
    .await;
}
