//! Which faults, in which order: from a seed, and always the same ones from the same seed.

mod random;

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::nemesis::fault::Fault;
use random::Dice;

/// Steps, one after the other: each begins when everything before it is undone, and its calm is over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Schedule {
    /// In order.
    pub steps: Vec<Step>,
}

/// One fault, or two that overlap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Without a fault, before the first.
    pub calm: Duration,
    /// When it begins, how long it stays, and what it is.
    pub faults: Vec<Planned>,
}

/// A fault to come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Planned {
    /// From the beginning of its step.
    pub after: Duration,
    /// Until it is undone.
    pub lasts: Duration,
    /// Which.
    pub fault: Fault,
}

impl Schedule {
    /// `steps` steps in a world of these regions, the first being the primary's. In ten of them each kind of fault turns up once.
    #[must_use]
    pub fn random(seed: u64, steps: usize, regions: &[&str]) -> Self {
        let mut dice = Dice::new(seed, regions);
        Self { steps: (0..steps).map(|_| dice.step()).collect() }
    }

    /// One fault after the other, each after so much calm.
    #[must_use]
    pub fn of(calm: Duration, faults: impl IntoIterator<Item = (Duration, Fault)>) -> Self {
        let planned = |(lasts, fault)| Planned { after: Duration::ZERO, lasts, fault };
        Self {
            steps: faults.into_iter().map(|it| Step { calm, faults: vec![planned(it)] }).collect(),
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, Step { calm, faults }) in self.steps.iter().enumerate() {
            write!(f, "{:<4}{:.1} s of calm", format!("{}.", number + 1), calm.as_secs_f64())?;
            for Planned { after, lasts, fault } in faults {
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
    use crate::nemesis::fault::Kind;

    const REGIONS: [&str; 4] = ["nrt", "ord", "syd", "ams"];

    #[test]
    fn a_seed_has_one_schedule() {
        expect![[r#"
            1.  1.8 s of calm; then kill the primary and promote ams, for 2.6 s
            2.  2.4 s of calm; then freeze nrt, for 4.1 s
            3.  2.3 s of calm; then promote nrt, the old primary left running, for 10.0 s
            4.  1.1 s of calm; then restart the instance in syd, for 2.6 s; 0.5 s later freeze nrt, for 2.3 s
            5.  1.4 s of calm; then promote ord, the old primary stopped first, for 2.2 s; 0.3 s later slow syd–ams to 100ms, for 2.7 s
            6.  1.9 s of calm; then cut syd–ams, for 3.8 s; 1.2 s later restart the instance in nrt, for 1.3 s
            7.  1.5 s of calm; then pause ams, for 5.8 s; 1.5 s later lag nrt by 1.9s, for 2.5 s
            8.  2.4 s of calm; then slow ord–ams to 100ms, for 4.6 s
            9.  2.4 s of calm; then kill ord, for 2.3 s; 1.2 s later pause ams, for 2.6 s
            10. 2.3 s of calm; then lag syd by 2.7s, for 3.0 s; 0.6 s later cut ams–nrt, for 1.5 s
        "#]].assert_eq(&Schedule::random(1, 10, &REGIONS).to_string());
    }

    #[test]
    fn ten_steps_have_every_kind() {
        for seed in 0..20 {
            let steps = Schedule::random(seed, 10, &REGIONS).steps;
            let mut kinds: Vec<_> = steps
                .iter()
                .flat_map(|step| &step.faults)
                .map(|planned| planned.fault.kind())
                .collect();
            kinds.sort_unstable();
            kinds.dedup();
            assert_eq!(kinds, Kind::ALL);
        }
    }
}
