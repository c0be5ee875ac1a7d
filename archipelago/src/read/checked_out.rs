//! Work on a connection of its own, at the first database that can serve it.

use std::time::Instant;

use super::attempts::Attempts;
use super::operation::CheckOutConnection;
use super::plan::{Candidates, ReadPlan};
use super::result::ReadResult;
use super::run::run;
use crate::error::{Error, NextRead};
use crate::pool::Checkout;
use crate::region::Role;

/// Runs `work` on a connection of its own, and returns that as well. If it breaks off, `work` begins
/// again at the next database. All attempts together may take as long as one statement.
pub(super) async fn run_on_checkout<T>(
    plan: ReadPlan<'_>,
    begun: Instant,
    work: impl AsyncFnOnce(&mut Checkout) -> Result<T, Error> + Clone,
) -> Result<ReadResult<(Checkout, T)>, Error> {
    let plan = plan.balanced().with_visitors_requirement().await;
    let limit = plan.first().reading.timeouts().answer();
    let mut attempts = Attempts::default();
    let mut repeats = 0;
    loop {
        let ReadResult { value: mut checkout, served_by, .. } =
            run(plan, &mut CheckOutConnection, &mut attempts).await?;
        let error = match work.clone()(&mut checkout).await {
            Ok(value) => {
                let position = checkout.position(checkout.state().shown());
                return Ok(ReadResult { value: (checkout, value), served_by, position });
            }
            Err(error) => error,
        };
        if error.is_passing() {
            plan.member(served_by.region).traffic.failed();
        }
        let is_replica = checkout.state().role == Role::Replica;
        let next = error.next_read(is_replica);
        let is_late = begun.elapsed() >= limit;
        if next != NextRead::FINAL {
            checkout.request_check();
        }
        if repeats < next.repeats && !is_late {
            repeats += 1;
            continue;
        }
        let is_pinned = matches!(plan.candidates, Candidates::Pinned(_));
        if is_pinned || is_late && attempts.tried.is_empty() {
            return Err(error);
        }
        attempts.failed(served_by.region, is_replica, error)?;
        if is_late {
            return Err(attempts.all_failed());
        }
    }
}
