//! Carries a schedule of faults out on a deployment, and records what it did when.

mod fault;
mod record;
mod schedule;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use archipelago_lab::Server;
use futures_util::future::try_join_all;
use tokio::time::sleep;

pub use fault::{Fault, FaultKind, OldPrimary};
pub use record::{AppliedFault, NemesisRecord, Promotion};
pub use schedule::{Schedule, ScheduleStep, ScheduledFault};

use crate::BoxError;
use crate::deployment::Deployment;

/// Applies faults to a deployment and undoes them.
pub struct Nemesis<'a> {
    deployment: &'a Deployment,
    /// The start of the run, from which recorded times count.
    start: Instant,
    record: Mutex<NemesisRecord>,
}

impl<'a> Nemesis<'a> {
    /// A nemesis that has done nothing yet.
    #[must_use]
    pub fn new(deployment: &'a Deployment, start: Instant) -> Self {
        Self { deployment, start, record: Mutex::default() }
    }

    /// Carries the schedule out. Returns once every fault is undone.
    ///
    /// # Errors
    /// A fault that the lab cannot apply or undo.
    pub async fn execute(self, schedule: &Schedule) -> Result<NemesisRecord, BoxError> {
        for step in &schedule.steps {
            sleep(step.calm).await;
            try_join_all(step.faults.iter().map(|scheduled| self.apply(scheduled))).await?;
        }
        Ok(self.record.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    async fn apply(&self, scheduled: &ScheduledFault) -> Result<(), BoxError> {
        let ScheduledFault { after, lasts, fault } = scheduled;
        sleep(*after).await;
        let from = self.start.elapsed();
        let promotion = self
            .apply_and_undo(fault, *lasts)
            .await
            .map_err(|error| format!("the lab cannot {fault}: {error}"))?;
        let until = self.start.elapsed();
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        record.faults.push(AppliedFault { fault: fault.clone(), from, until });
        record.promotions.extend(promotion);
        Ok(())
    }

    async fn apply_and_undo(
        &self,
        fault: &Fault,
        lasts: Duration,
    ) -> Result<Option<Promotion>, BoxError> {
        let links = self.deployment.world.links();
        match fault {
            Fault::Cut(a, b) => {
                links.cut(a, b)?;
                sleep(lasts).await;
                links.heal(a, b);
            }
            Fault::Slow(a, b, round_trip) => {
                links.slow(a, b, *round_trip)?;
                sleep(lasts).await;
                links.heal(a, b);
            }
            Fault::Kill(region) => {
                self.server(region)?.kill().await?;
                sleep(lasts).await;
                self.server(region)?.start().await?;
            }
            Fault::Freeze(region) => {
                self.server(region)?.freeze().await?;
                sleep(lasts).await;
                self.server(region)?.thaw().await?;
            }
            Fault::PauseReplay(region) => {
                self.server(region)?.pause_replay().await?;
                sleep(lasts).await;
                self.server(region)?.resume_replay().await?;
            }
            Fault::Lag(region, delay) => {
                self.server(region)?.lag(*delay).await?;
                sleep(lasts).await;
                self.server(region)?.lag(Duration::ZERO).await?;
            }
            Fault::RestartApp(region) => self.deployment.restart_app(region, lasts).await?,
            Fault::Promote { region, old } => {
                return self.promote(region, *old, lasts).await.map(Some);
            }
        }
        Ok(None)
    }

    async fn promote(
        &self,
        region: &str,
        old: OldPrimary,
        lasts: Duration,
    ) -> Result<Promotion, BoxError> {
        let world = &self.deployment.world;
        let before = world.primary().region().to_owned();
        let began = self.start.elapsed();
        let promotion = match old {
            OldPrimary::Stopped => world.switch_over(region).await?,
            OldPrimary::Crashed => {
                world.primary().kill().await?;
                world.promote(region).await?
            }
            OldPrimary::Running => world.promote(region).await?,
        };
        let done = self.start.elapsed();
        sleep(lasts).await;
        let mut rejoined = vec![before.clone()];
        rejoined.extend(promotion.stranded);
        for region in &rejoined {
            world.rejoin(region).await?;
        }
        Ok(Promotion {
            region: promotion.primary,
            before,
            timeline: promotion.timeline,
            began,
            done,
            settled: self.start.elapsed(),
            rejoined,
        })
    }

    fn server(&self, region: &str) -> Result<&Server, BoxError> {
        let server = self.deployment.world.server(region);
        server.ok_or_else(|| format!("no server in {region}").into())
    }
}
