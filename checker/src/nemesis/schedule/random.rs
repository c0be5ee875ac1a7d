//! Draws the steps of a random schedule.

use std::time::Duration;

use fastrand::Rng;

use super::{ScheduleStep, ScheduledFault};
use crate::nemesis::fault::{Fault, FaultKind, OldPrimary, Right};

/// The chance that a step has a second fault.
const SECOND_FAULT: f64 = 0.4;

/// Kinds of a second fault. A promotion is never second.
const SECOND: &[FaultKind] = &[
    FaultKind::Cut,
    FaultKind::Slow,
    FaultKind::Kill,
    FaultKind::Freeze,
    FaultKind::PauseReplay,
    FaultKind::Lag,
    FaultKind::RestartApp,
    FaultKind::EndSessions,
    FaultKind::AlterType,
    FaultKind::Blackhole,
];

/// Kinds of a second fault beside a promotion, which waits for servers, so that none of them may
/// be held up meanwhile.
const SECOND_BESIDE_PROMOTION: &[FaultKind] = &[FaultKind::RestartApp, FaultKind::Slow];

/// Kinds that are alone: what each of them promises holds while nothing else happens.
const ALONE: &[FaultKind] = &[
    FaultKind::Twin,
    FaultKind::Clone,
    FaultKind::ClonesApart,
    FaultKind::PutBack,
    FaultKind::Restore,
    FaultKind::Clock,
    FaultKind::Revoke,
];

/// By how many seconds a replica's clock is behind.
const CLOCK_BEHIND: i64 = 20;

/// The state that the next step is drawn from.
pub(super) struct RandomSteps<'a> {
    rng: Rng,
    /// Kinds that have not been drawn since every kind was.
    remaining: Vec<FaultKind>,
    regions: &'a [&'a str],
    /// The primary's region after the promotions so far.
    primary: &'a str,
}

impl<'a> RandomSteps<'a> {
    pub(super) fn new(seed: u64, regions: &'a [&'a str]) -> Self {
        let primary = regions.first().copied().unwrap_or_default();
        Self { rng: Rng::with_seed(seed), remaining: Vec::new(), regions, primary }
    }

    pub(super) fn step(&mut self) -> ScheduleStep {
        if self.remaining.is_empty() {
            self.remaining.extend(FaultKind::ALL);
            self.rng.shuffle(&mut self.remaining);
        }
        let kind = self.remaining.pop().unwrap_or(FaultKind::RestartApp);
        let old_primary = self.primary;
        // A split brain outlasts the time that instances have to notice it, so that a run shows
        // whether they have.
        let millis = match kind {
            FaultKind::SplitBrain | FaultKind::PutBack => 8000..12_000,
            FaultKind::Twin | FaultKind::Clone | FaultKind::ClonesApart | FaultKind::Clock => {
                6000..9000
            }
            _ => 2000..6000,
        };
        let lasts = self.millis(millis);
        let mut first =
            ScheduledFault { after: Duration::ZERO, lasts, fault: self.fault(kind, &[]) };
        if let Fault::Promote { region, old: OldPrimary::Crashed | OldPrimary::Running } =
            &first.fault
            && self.rng.bool()
        {
            // Writes that have not reached the new primary are lost, though other replicas may
            // have received them.
            let fault = Fault::Slow(old_primary.to_owned(), region.clone(), self.millis(100..400));
            first.after = self.millis(700..1500);
            let lasts = self.millis(2000..3000);
            let slow = ScheduledFault { after: Duration::ZERO, lasts, fault };
            return ScheduleStep { calm: self.calm(), faults: vec![slow, first] };
        }
        let mut faults = vec![first];
        if !ALONE.contains(&kind) && self.rng.f64() < SECOND_FAULT {
            let first = &faults[0].fault;
            let is_promotion = matches!(first, Fault::Promote { .. });
            let kinds = if is_promotion { SECOND_BESIDE_PROMOTION } else { SECOND };
            let kind = *self.rng.choice(kinds).unwrap_or(&FaultKind::RestartApp);
            let busy = first.regions(old_primary);
            faults.push(ScheduledFault {
                after: self.millis(300..2000),
                lasts: self.millis(1000..4000),
                fault: self.fault(kind, &busy),
            });
        }
        ScheduleStep { calm: self.calm(), faults }
    }

    /// A fault of this kind outside the busy regions.
    fn fault(&mut self, kind: FaultKind, busy: &[String]) -> Fault {
        let mut free: Vec<_> = self
            .regions
            .iter()
            .copied()
            .filter(|region| busy.iter().all(|busy| busy != region))
            .collect();
        self.rng.shuffle(&mut free);
        let replicas: Vec<_> =
            free.iter().copied().filter(|region| *region != self.primary).collect();
        let replica = replicas.first().copied().unwrap_or(self.primary);
        // A third of the faults that may hit any server hit the primary.
        let primary = free.iter().position(|region| *region == self.primary);
        if let Some(at) = primary.filter(|_| self.rng.u8(..3) == 0) {
            free.swap(0, at);
        }
        let mut free = free.into_iter().map(str::to_owned);
        let region = free.next().unwrap_or_default();
        let mut other = || free.next().unwrap_or_default();
        match kind {
            FaultKind::SwitchOver => self.promote(replica, OldPrimary::Stopped),
            FaultKind::FailOver => self.promote(replica, OldPrimary::Crashed),
            FaultKind::SplitBrain => self.promote(replica, OldPrimary::Running),
            FaultKind::Kill => Fault::Kill(region),
            FaultKind::Freeze => Fault::Freeze(region),
            FaultKind::RestartApp => Fault::RestartApp(region),
            FaultKind::PauseReplay => Fault::PauseReplay(replica.to_owned()),
            FaultKind::Lag => Fault::Lag(replica.to_owned(), self.millis(300..4000)),
            FaultKind::Cut => Fault::Cut(region, other()),
            FaultKind::Slow => Fault::Slow(region, other(), self.millis(100..300)),
            FaultKind::Twin => Fault::Twin(replica.to_owned()),
            FaultKind::Clone => Fault::Clone(replica.to_owned()),
            FaultKind::ClonesApart => {
                let [first, last] = [0, 1].map(|at| replicas.get(at).copied().unwrap_or_default());
                Fault::ClonesApart(first.to_owned(), last.to_owned())
            }
            FaultKind::PutBack => Fault::PutBack,
            FaultKind::Restore => Fault::Restore,
            FaultKind::Clock => Fault::Clock(replica.to_owned(), -CLOCK_BEHIND),
            FaultKind::EndSessions => Fault::EndSessions(region),
            FaultKind::AlterType => Fault::AlterType,
            FaultKind::Language => Fault::Language,
            FaultKind::Blackhole => Fault::Blackhole(region, other()),
            FaultKind::Revoke => {
                Fault::Revoke(*self.rng.choice(&Right::ALL).unwrap_or(&Right::EmitMessage))
            }
        }
    }

    fn promote(&mut self, region: &'a str, old: OldPrimary) -> Fault {
        self.primary = region;
        Fault::Promote { region: region.to_owned(), old }
    }

    fn calm(&mut self) -> Duration {
        self.millis(1000..2500)
    }

    /// Rounded down to tenths of a second, which read better.
    fn millis(&mut self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.rng.u64(range) / 100 * 100)
    }
}
