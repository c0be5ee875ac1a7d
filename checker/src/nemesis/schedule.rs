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
            1.  1.2 s of calm; then slow nrt–ord to 100ms, for 4.4 s; 0.4 s later slow ams–syd to 200ms, for 3.0 s
            2.  1.6 s of calm; then lag ord by 2s, for 4.0 s; 0.4 s later pause replay in ams, for 3.9 s
            3.  1.0 s of calm; then alter a column's type, for 4.7 s; 1.3 s later lag syd by 1.5s, for 1.4 s
            4.  2.0 s of calm; then kill nrt, for 3.9 s; 1.2 s later end sessions in ord, for 2.8 s
            5.  2.1 s of calm; then restart the app in syd, for 3.2 s
            6.  1.7 s of calm; then restart ams writable, for 8.6 s
            7.  1.1 s of calm; then revoke pg_control_checkpoint(), for 4.7 s
            8.  2.0 s of calm; then replace syd by a clone, for 6.0 s
            9.  1.3 s of calm; then restore into new servers, for 4.2 s
            10. 1.4 s of calm; then let connections from nrt to ams vanish, for 2.7 s; 0.6 s later cut syd–ord, for 1.5 s
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
