//! Draws one step after the other.

use std::time::Duration;

use fastrand::Rng;

use super::{Planned, Step};
use crate::nemesis::fault::{Fault, Kind, Old};

/// The chance that a step has a second fault.
const SECOND: f64 = 0.4;

/// What the next step is drawn from.
pub(super) struct Dice<'a> {
    rng: Rng,
    /// The kinds that have not come yet.
    bag: Vec<Kind>,
    regions: &'a [&'a str],
    /// As the promotions so far have made it.
    primary: &'a str,
}

impl<'a> Dice<'a> {
    pub(super) fn new(seed: u64, regions: &'a [&'a str]) -> Self {
        let primary = regions.first().copied().unwrap_or_default();
        Self { rng: Rng::with_seed(seed), bag: Vec::new(), regions, primary }
    }

    pub(super) fn step(&mut self) -> Step {
        if self.bag.is_empty() {
            self.bag.extend(Kind::ALL);
            self.rng.shuffle(&mut self.bag);
        }
        let kind = self.bag.pop().unwrap_or(Kind::Restart);
        let before = self.primary;
        // With two primaries for longer than everybody may take to notice, so that it shows whether they have.
        let lasts = self.millis(if kind == Kind::SplitBrain { 8000..12_000 } else { 2000..6000 });
        let mut faults =
            vec![Planned { after: Duration::ZERO, lasts, fault: self.fault(kind, &[]) }];
        if let Fault::Promote { region, old: Old::Crashed | Old::Running } = &faults[0].fault
            && self.rng.bool()
        {
            // What the new primary has not received yet is lost, and others may have received it.
            let fault = Fault::Slow(before.to_owned(), region.clone(), self.millis(100..400));
            faults[0].after = self.millis(700..1500);
            faults.insert(
                0,
                Planned { after: Duration::ZERO, lasts: self.millis(2000..3000), fault },
            );
            return Step { calm: self.millis(1000..2500), faults };
        }
        if self.rng.f64() < SECOND {
            // A promotion waits for servers, so nothing else may happen to one meanwhile.
            let is_promotion = matches!(faults[0].fault, Fault::Promote { .. });
            let kinds: &[Kind] = if is_promotion {
                &[Kind::Restart, Kind::Slow]
            } else {
                &[
                    Kind::Cut,
                    Kind::Slow,
                    Kind::Kill,
                    Kind::Freeze,
                    Kind::Pause,
                    Kind::Lag,
                    Kind::Restart,
                ]
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
        let mut free: Vec<_> = self
            .regions
            .iter()
            .copied()
            .filter(|region| busy.iter().all(|it| it != region))
            .collect();
        self.rng.shuffle(&mut free);
        let replica = free
            .iter()
            .copied()
            .find(|region| *region != self.primary)
            .unwrap_or(self.primary)
            .to_owned();
        // Every third that may hit any server hits the primary.
        if let Some(at) =
            free.iter().position(|region| *region == self.primary).filter(|_| self.rng.u8(..3) == 0)
        {
            free.swap(0, at);
        }
        let mut any = free.into_iter().map(str::to_owned);
        let one = any.next().unwrap_or_default();
        let mut promote = |old| {
            self.primary = self
                .regions
                .iter()
                .copied()
                .find(|region| *region == replica)
                .unwrap_or(self.primary);
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
        Fault::Kill(region)
        | Fault::Freeze(region)
        | Fault::Pause(region)
        | Fault::Lag(region, _)
        | Fault::Restart(region) => {
            vec![region.clone()]
        }
        Fault::Promote { region, .. } => vec![region.clone(), primary.to_owned()],
    }
}
