//! What a read does at a database: run a query, or check out a connection.

use crate::cluster::Member;
use crate::connection::{Answer, ReadOutcome, Request, SpillPermit};
use crate::error::Error;
use crate::pool::Checkout;
use crate::server::Requirement;

/// Something that can be done at one database after another.
pub(crate) trait Operation: Send {
    type Value: Send;

    /// The SQL of its statement, without the values of its parameters.
    fn sql(&self) -> Option<String>;

    /// Does it at `member`, which must satisfy the requirement. A permit is held until the server
    /// is done.
    fn run_on(
        &mut self,
        member: &Member,
        requirement: Requirement,
        spill_permit: Option<SpillPermit>,
    ) -> impl Future<Output = Result<ReadOutcome<Self::Value>, Error>> + Send;
}

/// Runs a query.
pub(crate) struct RunQuery<R>(pub(crate) R);

impl<R: Request> Operation for RunQuery<R> {
    type Value = R::Output;

    fn sql(&self) -> Option<String> {
        self.0.sql()
    }

    async fn run_on(
        &mut self,
        member: &Member,
        requirement: Requirement,
        spill_permit: Option<SpillPermit>,
    ) -> Result<ReadOutcome<R::Output>, Error> {
        member.reading.read(&mut self.0, requirement, spill_permit).await
    }
}

/// Checks out a connection, for everything that needs a session.
pub(crate) struct CheckOutConnection;

impl Operation for CheckOutConnection {
    type Value = Checkout;

    fn sql(&self) -> Option<String> {
        None
    }

    async fn run_on(
        &mut self,
        member: &Member,
        requirement: Requirement,
        spill_permit: Option<SpillPermit>,
    ) -> Result<ReadOutcome<Checkout>, Error> {
        let mut checkout = member.reading.checkout().await?;
        checkout.hold(spill_permit.clone());
        let not_fresh = match checkout.verify(requirement).await {
            // Its session had ended while it was idle.
            Err(error) if error.next_read(true).repeats > 0 => {
                drop(checkout);
                checkout = member.reading.checkout().await?;
                checkout.hold(spill_permit);
                checkout.verify(requirement).await?
            }
            outcome => outcome?,
        };
        if let Some(not_fresh) = not_fresh {
            return Ok(ReadOutcome::NotFresh(not_fresh));
        }
        let state = checkout.state();
        let position = checkout.position(state.shown());
        Ok(ReadOutcome::Answered(Answer { value: checkout, state, position }))
    }
}
