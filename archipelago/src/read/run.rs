//! Runs a read at the first database of its plan, and hands it to the failover where that cannot
//! serve.

use std::time::Instant;

use super::attempts::Attempts;
use super::failover::Failover;
use super::operation::Operation;
use super::plan::{Candidates, ReadPlan};
use super::result::ReadResult;
use crate::cluster::{Cluster, Member};
use crate::connection::ReadOutcome;
use crate::error::Error;

/// Runs the operation at one database of the plan after another until one serves. Passes over those
/// that have failed in earlier `attempts`.
pub(crate) async fn run<O: Operation>(
    plan: ReadPlan<'_>,
    operation: &mut O,
    attempts: &mut Attempts,
) -> Result<ReadResult<O::Value>, Error> {
    let begun = Instant::now();
    let first = match plan.candidates {
        _ if !attempts.tried.is_empty() => None,
        Candidates::Pinned(member) => Some(member),
        Candidates::Ordered { cluster, first, .. } => first_if_usable(plan, cluster, first),
    };
    let outcome = match first {
        Some(member) => match operation.run_on(member, plan.requirement, None).await {
            Ok(ReadOutcome::Answered(answer)) => {
                return Ok(ReadResult::new(member, plan.reason, answer, None));
            }
            outcome => Some(outcome),
        },
        None => None,
    };
    match plan.candidates {
        // Boxed: few reads come here, and it is much larger than the rest.
        Candidates::Ordered { cluster, order, first } => {
            let mut failover = Failover::new(plan, cluster, (order, first), attempts, begun);
            Box::pin(async move { failover.run(operation, outcome).await }).await
        }
        Candidates::Pinned(member) => match outcome {
            Some(Err(error)) => {
                if error.is_passing() {
                    plan.first().traffic.failed();
                }
                Err(error)
            }
            Some(Ok(ReadOutcome::NotFresh(not_fresh))) => {
                attempts.passed_over(member.info().code, not_fresh.into());
                Err(attempts.all_failed())
            }
            _ => Err(attempts.all_failed()),
        },
    }
}

/// The first candidate, if nothing speaks against asking it.
fn first_if_usable<'a>(
    plan: ReadPlan<'_>,
    cluster: &'a Cluster,
    first: Option<usize>,
) -> Option<&'a Member> {
    let requirement = plan.requirement;
    let index = first.filter(|_| !requirement.primary)?;
    cluster.watch(index);
    let member = cluster.at(index);
    let is_known = index != cluster.leader_index() || cluster.has_held_election();
    let lags = cluster.lags_over(member, requirement.at_most, !plan.or_stale);
    (is_known && !lags && member.health.is_up()).then_some(member)
}
