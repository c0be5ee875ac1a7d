//! Which faults a run injects, and when. One seed always gives the same schedule.

mod random;

use std::fmt;
use std::time::Duration;

use super::Fault;
use random::RandomSteps;

/// Steps in order. Each begins after the faults of the step before it are undone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// In order.
    pub steps: Vec<ScheduleStep>,
}

/// One fault, or several that overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleStep {
    /// The time without a fault before the first one.
    pub calm: Duration,
    /// The faults, each with its own start and length.
    pub faults: Vec<ScheduledFault>,
}

/// A fault with its start and its length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduledFault {
    /// From the end of the step's calm until the fault is applied.
    pub after: Duration,
    /// From when it has been applied until it is undone.
    pub lasts: Duration,
    /// The fault.
    pub fault: Fault,
}

impl Schedule {
    /// Draws `steps` steps for servers in these regions, the primary's first. As many
    /// steps as there are kinds of faults include each of them.
    #[must_use]
    pub fn random(seed: u64, steps: usize, regions: &[&str]) -> Self {
        let mut random = RandomSteps::new(seed, regions);
        Self { steps: (0..steps).map(|_| random.step()).collect() }
    }

    /// One fault per step, each with its length, after the same calm.
    #[must_use]
    pub fn sequence(calm: Duration, faults: impl IntoIterator<Item = (Duration, Fault)>) -> Self {
        let step = |(lasts, fault)| ScheduleStep {
            calm,
            faults: vec![ScheduledFault { after: Duration::ZERO, lasts, fault }],
        };
        Self { steps: faults.into_iter().map(step).collect() }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, ScheduleStep { calm, faults }) in self.steps.iter().enumerate() {
            write!(f, "{:<4}{:.1} s of calm", format!("{}.", number + 1), calm.as_secs_f64())?;
            for ScheduledFault { after, lasts, fault } in faults {
                let then = if after.is_zero() {
                    "then".to_owned()
                } else {
                    format!("{:.1} s later", after.as_secs_f64())
                };
                write!(f, "; {then} {fault}, for {:.1} s", lasts.as_secs_f64())?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::nemesis::FaultKind;

    const REGIONS: [&str; 4] = ["nrt", "ord", "syd", "ams"];

    #[test]
    fn a_seed_has_one_schedule() {
        expect![[r#"
            1.  1.8 s of calm; then kill the primary and promote ams, for 2.6 s
            2.  2.4 s of calm; then freeze nrt, for 4.1 s
            3.  2.3 s of calm; then promote nrt and leave the old primary running, for 10.0 s
            4.  1.1 s of calm; then restart the app in syd, for 2.6 s; 0.5 s later freeze nrt, for 2.3 s
            5.  1.4 s of calm; then stop the primary and promote ord, for 2.2 s; 0.3 s later slow syd–ams to 100ms, for 2.7 s
            6.  1.9 s of calm; then cut syd–ams, for 3.8 s; 1.2 s later restart the app in nrt, for 1.3 s
            7.  1.5 s of calm; then pause replay in ams, for 5.8 s; 1.5 s later lag nrt by 1.9s, for 2.5 s
            8.  2.4 s of calm; then slow ord–ams to 100ms, for 4.6 s
            9.  2.4 s of calm; then kill ord, for 2.3 s; 1.2 s later pause replay in ams, for 2.6 s
            10. 2.3 s of calm; then lag syd by 2.7s, for 3.0 s; 0.6 s later cut ams–nrt, for 1.5 s
        "#]].assert_eq(&Schedule::random(1, 10, &REGIONS).to_string());
    }

    #[test]
    fn as_many_steps_as_kinds_have_every_kind() {
        for seed in 0..20 {
            let steps = Schedule::random(seed, FaultKind::ALL.len(), &REGIONS).steps;
            let mut kinds: Vec<_> = steps
                .iter()
                .flat_map(|step| &step.faults)
                .map(|scheduled| scheduled.fault.kind())
                .collect();
            kinds.sort_unstable();
            kinds.dedup();
            assert_eq!(kinds, FaultKind::ALL);
        }
    }
}
