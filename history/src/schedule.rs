//! Which faults, in which order: from a seed, and always the same ones from the same seed.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;
use serde::Serialize;

use crate::fault::{Fault, Kind, Old};

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

/// The chance that a step has a second fault.
const SECOND: f64 = 0.4;

impl Schedule {
    /// `steps` steps in a world of these regions, the first being the primary's. In ten of them each kind of fault turns up once.
    #[must_use]
    pub fn random(seed: u64, steps: usize, regions: &[&str]) -> Self {
        let mut dice =
            Dice { rng: Rng::with_seed(seed), bag: Vec::new(), regions, primary: regions.first().copied().unwrap_or_default() };
        Self { steps: (0..steps).map(|_| dice.step()).collect() }
    }

    /// One fault after the other, each after so much calm.
    #[must_use]
    pub fn of(calm: Duration, faults: impl IntoIterator<Item = (Duration, Fault)>) -> Self {
        let planned = |(lasts, fault)| Planned { after: Duration::ZERO, lasts, fault };
        Self { steps: faults.into_iter().map(|it| Step { calm, faults: vec![planned(it)] }).collect() }
    }
}

/// What the next step is drawn from.
struct Dice<'a> {
    rng: Rng,
    /// The kinds that have not come yet.
    bag: Vec<Kind>,
    regions: &'a [&'a str],
    /// As the promotions so far have made it.
    primary: &'a str,
}

impl Dice<'_> {
    fn step(&mut self) -> Step {
        if self.bag.is_empty() {
            self.bag.extend(Kind::ALL);
            self.rng.shuffle(&mut self.bag);
        }
        let kind = self.bag.pop().unwrap_or(Kind::Restart);
        let before = self.primary;
        let first = Planned { after: Duration::ZERO, lasts: self.millis(2000..6000), fault: self.fault(kind, &[]) };
        let mut faults = vec![first];
        if self.rng.f64() < SECOND {
            // A promotion waits for servers, so nothing else may happen to one meanwhile.
            let is_promotion = matches!(faults[0].fault, Fault::Promote { .. });
            let kinds: &[Kind] = if is_promotion {
                &[Kind::Restart, Kind::Slow]
            } else {
                &[Kind::Cut, Kind::Slow, Kind::Kill, Kind::Freeze, Kind::Pause, Kind::Lag, Kind::Restart]
            };
            let kind = *self.rng.choice(kinds).unwrap_or(&Kind::Restart);
            let busy = places(&faults[0].fault, before);
            faults.push(Planned {
                after: self.millis(300..2000),
                lasts: self.millis(1000..4000),
                fault: self.fault(kind, &busy),
            });
        }
        Step { calm: self.millis(1000..2500), faults }
    }

    /// A fault of this kind in other regions than these.
    fn fault(&mut self, kind: Kind, busy: &[String]) -> Fault {
        let mut free: Vec<_> = self.regions.iter().copied().filter(|region| busy.iter().all(|it| it != region)).collect();
        self.rng.shuffle(&mut free);
        let replica = free.iter().copied().find(|region| *region != self.primary).unwrap_or(self.primary).to_owned();
        // Every third that may hit any server hits the primary.
        if let Some(at) = free.iter().position(|region| *region == self.primary).filter(|_| self.rng.u8(..3) == 0) {
            free.swap(0, at);
        }
        let mut any = free.into_iter().map(str::to_owned);
        let one = any.next().unwrap_or_default();
        let mut promote = |old| {
            self.primary = self.regions.iter().copied().find(|region| *region == replica).unwrap_or(self.primary);
            Fault::Promote { region: replica.clone(), old }
        };
        match kind {
            Kind::SwitchOver => promote(Old::Stopped),
            Kind::FailOver => promote(Old::Crashed),
            Kind::SplitBrain => promote(Old::Running),
            Kind::Kill => Fault::Kill(one),
            Kind::Freeze => Fault::Freeze(one),
            Kind::Restart => Fault::Restart(one),
            Kind::Pause => Fault::Pause(replica),
            Kind::Lag => Fault::Lag(replica, self.millis(300..4000)),
            Kind::Cut => Fault::Cut(one, any.next().unwrap_or_default()),
            Kind::Slow => Fault::Slow(one, any.next().unwrap_or_default(), self.millis(100..300)),
        }
    }

    /// In tenths of a second, for people to read.
    fn millis(&mut self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.rng.u64(range) / 100 * 100)
    }
}

/// The regions that a fault touches, the primary being this one.
fn places(fault: &Fault, primary: &str) -> Vec<String> {
    match fault {
        Fault::Cut(a, b) | Fault::Slow(a, b, _) => vec![a.clone(), b.clone()],
        Fault::Kill(region) | Fault::Freeze(region) | Fault::Pause(region) | Fault::Lag(region, _) | Fault::Restart(region) => {
            vec![region.clone()]
        }
        Fault::Promote { region, .. } => vec![region.clone(), primary.to_owned()],
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, Step { calm, faults }) in self.steps.iter().enumerate() {
            write!(f, "{:>3}. {:4.1} s of calm", number + 1, calm.as_secs_f64())?;
            for Planned { after, lasts, fault } in faults {
                let then = if after.is_zero() { "then".to_owned() } else { format!("{:.1} s later", after.as_secs_f64()) };
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

    const REGIONS: [&str; 4] = ["nrt", "ord", "syd", "ams"];

    #[test]
    fn a_seed_has_one_schedule() {
        expect![[r#"
              1.  1.1 s of calm; after 0.0 s kill the primary and promote ams, for 2.6 s
              2.  1.9 s of calm; after 0.0 s freeze nrt, for 3.6 s
              3.  1.1 s of calm; after 0.0 s promote nrt, the old primary left running, for 5.0 s
              4.  1.2 s of calm; after 0.0 s restart the instance in ord, for 2.5 s
              5.  2.4 s of calm; after 0.0 s promote ord, the old primary stopped first, for 4.0 s; after 0.5 s restart the instance in ams, for 2.3 s
              6.  1.5 s of calm; after 0.0 s cut syd–ams, for 2.4 s
              7.  1.9 s of calm; after 0.0 s pause ams, for 2.5 s
              8.  2.1 s of calm; after 0.0 s slow ord–ams to 100ms, for 2.6 s
              9.  1.8 s of calm; after 0.0 s kill ams, for 2.4 s
             10.  1.9 s of calm; after 0.0 s lag nrt by 1.4s, for 4.5 s; after 1.5 s slow ord–syd to 200ms, for 3.2 s
        "#]].assert_eq(&Schedule::random(1, 10, &REGIONS).to_string());
    }

    #[test]
    fn ten_steps_have_every_kind() {
        for seed in 0..20 {
            let steps = Schedule::random(seed, 10, &REGIONS).steps;
            let mut kinds: Vec<_> = steps.iter().map(|step| step.faults[0].fault.kind()).collect();
            kinds.sort_unstable();
            assert_eq!(kinds, Kind::ALL);
        }
    }
}
