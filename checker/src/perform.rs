//! Carries a schedule out, and writes down what happened when.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use tokio::time::sleep;

use crate::Failed;
use crate::fault::{Fault, Happened, Old};
use crate::schedule::{Planned, Schedule};
use crate::stage::{PATIENCE, Stage};
use crate::timelines::Promotion;

/// What was done.
#[derive(Debug, Default)]
pub struct Log {
    /// In the order of their ends.
    pub faults: Vec<Happened>,
    /// In order.
    pub promotions: Vec<Promotion>,
}

/// Carries it out; returns when everything is undone. Times count from `began`.
///
/// # Errors
/// When the lab cannot do what is planned: then the round says nothing.
pub async fn perform(stage: &Stage, schedule: &Schedule, began: Instant) -> Result<Log, Failed> {
    let log = Mutex::default();
    for step in &schedule.steps {
        sleep(step.calm).await;
        try_join_all(step.faults.iter().map(|planned| one(stage, planned, began, &log))).await?;
    }
    Ok(log.into_inner().unwrap_or_else(PoisonError::into_inner))
}

async fn one(
    stage: &Stage,
    planned: &Planned,
    began: Instant,
    log: &Mutex<Log>,
) -> Result<(), Failed> {
    let Planned { after, lasts, fault } = planned;
    sleep(*after).await;
    let from = began.elapsed();
    let failed = |error: Failed| -> Failed { format!("the lab cannot {fault}: {error}").into() };
    let promotion = felt(stage, fault, *lasts, began).await.map_err(failed)?;
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    log.faults.push(Happened { fault: fault.clone(), from, until: began.elapsed() });
    log.promotions.extend(promotion);
    Ok(())
}

async fn felt(
    stage: &Stage,
    fault: &Fault,
    lasts: Duration,
    began: Instant,
) -> Result<Option<Promotion>, Failed> {
    let world = &stage.world;
    let server = |region: &str| world.server(region).ok_or_else(|| format!("there is no {region}"));
    match fault {
        Fault::Cut(a, b) => {
            world.links().cut(a, b)?;
            sleep(lasts).await;
            world.links().heal(a, b);
        }
        Fault::Slow(a, b, round_trip) => {
            world.links().slow(a, b, *round_trip)?;
            sleep(lasts).await;
            world.links().heal(a, b);
        }
        Fault::Kill(region) => {
            server(region)?.kill().await?;
            sleep(lasts).await;
            server(region)?.start().await?;
        }
        Fault::Freeze(region) => {
            server(region)?.freeze().await?;
            sleep(lasts).await;
            server(region)?.thaw().await?;
        }
        Fault::Pause(region) => {
            server(region)?.pause_replay().await?;
            sleep(lasts).await;
            server(region)?.resume_replay().await?;
        }
        Fault::Lag(region, delay) => {
            server(region)?.lag(*delay).await?;
            sleep(lasts).await;
            server(region)?.lag(Duration::ZERO).await?;
        }
        Fault::Restart(region) => stage.restart(region, lasts).await?,
        Fault::Promote { region, old } => {
            return promoted(stage, region, *old, lasts, began).await.map(Some);
        }
    }
    Ok(None)
}

async fn promoted(
    stage: &Stage,
    region: &str,
    old: Old,
    lasts: Duration,
    start: Instant,
) -> Result<Promotion, Failed> {
    let world = &stage.world;
    let before = world.primary().region().to_owned();
    let began = start.elapsed();
    if old == Old::Crashed {
        world.primary().kill().await?;
    }
    let promotion = if old == Old::Stopped {
        world.switch_over(region).await?
    } else {
        world.promote(region).await?
    };
    let done = start.elapsed();
    sleep(lasts).await;
    let rejoined: Vec<String> = std::iter::once(before.clone()).chain(promotion.stranded).collect();
    for region in &rejoined {
        world.rejoin(region).await?;
    }
    Ok(Promotion {
        region: promotion.primary,
        before,
        timeline: promotion.timeline,
        began,
        done,
        settled: start.elapsed(),
        rejoined,
    })
}

/// Waits until every replica shows what the primary has.
///
/// # Errors
/// When one does not within half a minute.
pub async fn settle(stage: &Stage) -> Result<(), Failed> {
    let position = stage.world.primary().position().await?;
    for replica in stage.world.replicas() {
        replica.wait_until_replayed(position, PATIENCE).await?;
    }
    Ok(())
}
