//! Visitors and faults as the seeds have them: every promise is kept.

use std::collections::BTreeSet;

use archipelago_history::check::MARGIN;
use archipelago_history::fault::Kind;
use archipelago_history::round::{MAX_LAG, Plan};
use archipelago_history::schedule::Schedule;
use archipelago_history::stage::{Rules, regions};

/// Together they have every kind of fault.
const SEEDS: [u64; 3] = [887, 888, 889];

/// Of a round.
const STEPS: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn no_promise_is_broken() {
    let mut kinds = BTreeSet::new();
    for seed in SEEDS {
        let schedule = Schedule::random(seed, STEPS, &regions());
        let rules = Rules { max_lag: MAX_LAG, without: None };
        let plan = Plan { seed, schedule, quiet: MARGIN, visitors: 15, roaming: true, rules };
        let round = plan.play().await.unwrap();
        assert!(round.verdict.violations.is_empty(), "seed {seed}\n{}{}", plan.schedule, round.violations());
        kinds.extend(round.history.faults.iter().map(|it| it.fault.kind()));
    }
    assert_eq!(kinds, BTreeSet::from(Kind::ALL), "choose other seeds: a kind of fault did not turn up");
}
