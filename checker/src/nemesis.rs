//! Carries a schedule of faults out on a deployment, and records what it did when.

mod fault;
mod record;
mod schedule;
mod statements;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use archipelago_lab::{LabError, Server};
use futures_util::future::try_join_all;
use tokio::time::sleep;

pub use fault::{Fault, FaultKind, OldPrimary, Right};
pub use record::{AppliedFault, NemesisRecord, Promotion, Reset};
pub use schedule::{Schedule, ScheduleStep, ScheduledFault};

use crate::BoxError;
use crate::deployment::Deployment;

/// How long a run goes on between the copy of the primary and its return to it. Clients write within
/// it on a slow machine, too.
const UNTIL_PUT_BACK: Duration = Duration::from_secs(2);

/// Between two vanished connections.
const BETWEEN_BLACKHOLES: Duration = Duration::from_millis(1500);

/// An instance asks a server that was down again after at most 5 s.
const UNTIL_READS_RETURN: Duration = Duration::from_secs(6);

/// What came of a fault, besides that it is undone.
enum Applied {
    Done,
    Promotion(Promotion),
    Reset(Reset),
    /// This machine cannot make it.
    Skipped(String),
}

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

    fn record(&self) -> MutexGuard<'_, NemesisRecord> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn apply(&self, scheduled: &ScheduledFault) -> Result<(), BoxError> {
        let ScheduledFault { after, lasts, fault } = scheduled;
        sleep(*after).await;
        let from = self.start.elapsed();
        let applied = self
            .apply_and_undo(fault, *lasts)
            .await
            .map_err(|error| format!("the lab cannot {fault}: {error}"))?;
        let until = self.start.elapsed();
        let mut record = self.record();
        match applied {
            Applied::Skipped(why) => {
                record.skipped.push((fault.clone(), why));
                return Ok(());
            }
            Applied::Promotion(promotion) => record.promotions.push(promotion),
            Applied::Reset(reset) => record.resets.push(reset),
            Applied::Done => {}
        }
        record.faults.push(AppliedFault { fault: fault.clone(), from, until });
        Ok(())
    }

    async fn apply_and_undo(&self, fault: &Fault, lasts: Duration) -> Result<Applied, BoxError> {
        let world = &self.deployment.world;
        let links = world.links();
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
                return self.promote(region, *old, lasts).await.map(Applied::Promotion);
            }
            Fault::Twin(region) => {
                self.server(region)?.start_writable().await?;
                sleep(lasts).await;
                world.rejoin(region).await?;
            }
            Fault::Clone(region) => {
                world.replace_by_clone(region).await?;
                sleep(lasts).await;
                world.rejoin(region).await?;
            }
            Fault::ClonesApart(a, b) => {
                world.replace_by_clone(a).await?;
                world.replace_by_clone(b).await?;
                sleep(lasts).await;
                world.rejoin(a).await?;
                world.rejoin(b).await?;
            }
            Fault::PutBack => return self.put_back(lasts).await.map(Applied::Reset),
            Fault::Restore => {
                let copied = self.start.elapsed();
                let replaced = self.deployment.timeline_history().await?;
                self.deployment.restore().await?;
                let done = self.start.elapsed();
                sleep(lasts).await;
                self.record().replaced.push(replaced);
                let reset = Reset { copied, copied_until: done, began: copied, done };
                return Ok(Applied::Reset(reset));
            }
            Fault::Clock(region, seconds) => {
                match self.server(region)?.set_clock(*seconds).await {
                    Err(error @ LabError::NoFakeClock) => {
                        return Ok(Applied::Skipped(error.to_string()));
                    }
                    set => set?,
                }
                // A wrong clock does harm where the replica also lags. The restart would end the
                // pause, and a replica that pauses before reads return to it never serves its
                // clients: they have read newer rows elsewhere.
                sleep(UNTIL_READS_RETURN).await;
                self.server(region)?.pause_replay().await?;
                sleep(lasts).await;
                self.server(region)?.set_clock(0).await?;
            }
            Fault::Blackhole(from, to) => {
                let until = Instant::now() + lasts;
                while Instant::now() < until {
                    // A server that is down has no connection that could vanish.
                    let _ = self.server(to)?.blackhole_one(from).await;
                    sleep(BETWEEN_BLACKHOLES).await;
                }
            }
            Fault::EndSessions(region) => {
                statements::end_sessions_for(self.server(region)?, lasts).await;
            }
            Fault::AlterType => statements::alter_type_for(world, lasts).await,
            Fault::Language => {
                if let Some(why) = statements::speak_german_for(world, lasts).await? {
                    return Ok(Applied::Skipped(why));
                }
            }
            Fault::Revoke(right) => statements::revoke_for(world, *right, lasts).await?,
        }
        Ok(Applied::Done)
    }

    /// The primary goes back to a copy, and its replicas are ahead of it for as long as this lasts.
    async fn put_back(&self, lasts: Duration) -> Result<Reset, BoxError> {
        let world = &self.deployment.world;
        let copied = self.start.elapsed();
        let backup = world.backup().await?;
        let copied_until = self.start.elapsed();
        // The primary does not reach its replicas again before they are made anew.
        statements::skip_ahead(world.primary()).await?;
        sleep(UNTIL_PUT_BACK).await;
        // The replicas show what will be lost.
        world.catch_up().await?;
        let began = self.start.elapsed();
        world.put_back_to(backup).await?;
        let done = self.start.elapsed();
        sleep(lasts).await;
        let replicas: Vec<_> = world.replicas().map(|it| it.region().to_owned()).collect();
        for region in replicas {
            world.rejoin(&region).await?;
        }
        Ok(Reset { copied, copied_until, began, done })
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
