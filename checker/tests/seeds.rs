//! Visitors and faults as the seeds have them: every promise is kept.

use std::collections::BTreeSet;

use archipelago_checker::check::MARGIN;
use archipelago_checker::client::Manner;
use archipelago_checker::deployment::{Rules, regions};
use archipelago_checker::nemesis::fault::Kind;
use archipelago_checker::nemesis::schedule::Schedule;
use archipelago_checker::run::{MAX_LAG, Plan};

/// How many rounds.
const SEEDS: u64 = 3;

/// Of a round.
const STEPS: usize = 3;

const VISITORS: u32 = 15;

fn schedule(seed: u64) -> Schedule {
    Schedule::random(seed, STEPS, &regions())
}

fn has_every_kind(first: u64) -> bool {
    let steps = (first..first + SEEDS).flat_map(|seed| schedule(seed).steps);
    let kinds: BTreeSet<_> =
        steps.flat_map(|step| step.faults).map(|planned| planned.fault.kind()).collect();
    kinds == BTreeSet::from(Kind::ALL)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_promise_is_broken() {
    // Which seeds they are depends on the regions.
    let first = (0..1_000_000).find(|first| has_every_kind(*first)).unwrap();
    for seed in first..first + SEEDS {
        let rules = Rules { max_lag: MAX_LAG, without: None };
        let plan = Plan {
            seed,
            schedule: schedule(seed),
            quiet: MARGIN,
            visitors: VISITORS,
            manner: Manner::Roaming,
            rules,
        };
        let again = format!(
            "cargo run -p archipelago-checker -- --seed {seed} --steps {STEPS} --visitors {VISITORS}"
        );
        let round = plan.play().await.unwrap_or_else(|error| panic!("{error}\nagain: {again}"));
        assert!(
            round.verdict.violations.is_empty(),
            "{}{}again: {again}",
            plan.schedule,
            round.violations()
        );
    }
}
