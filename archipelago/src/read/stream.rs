//! The rows of a query one after another, on a connection of their own.

use std::marker::PhantomData;

use diesel::QueryResult;
use diesel::query_builder::AsQuery;
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, try_unfold};
use tokio::time::timeout;

use super::operation::{CheckOutConnection, Operation};
use crate::cluster::Member;
use crate::connection::{
    Answer, Connection, ReadOutcome, SpillPermit, begin_snapshot, commit_snapshot,
};
use crate::error::Error;
use crate::pool::Checkout;
use crate::query::{LoadsAs, sql};
use crate::server::Requirement;

/// Begins to read the rows of a query.
///
/// They are of a transaction whose state the first probe fixes, so the position of that probe
/// bounds what they show from above, and is known before the first of them.
pub(super) struct OpenStream<Q: AsQuery, U> {
    query: Q::Query,
    rows: PhantomData<fn() -> U>,
}

/// The rows that have begun to come, and their connection.
pub(super) struct Rows<U> {
    checkout: Checkout,
    rows: BoxStream<'static, QueryResult<U>>,
}

impl<Q: LoadsAs<U>, U> OpenStream<Q, U> {
    pub(super) fn new(query: Q) -> Self {
        Self { query: query.as_query(), rows: PhantomData }
    }
}

impl<Q: LoadsAs<U>, U: Send + 'static> Operation for OpenStream<Q, U> {
    type Value = Rows<U>;

    fn sql(&self) -> Option<String> {
        sql(&self.query)
    }

    async fn run_on(
        &mut self,
        member: &Member,
        requirement: Requirement,
        spill_permit: Option<SpillPermit>,
    ) -> Result<ReadOutcome<Rows<U>>, Error> {
        let checked_out = CheckOutConnection.run_on(member, requirement, spill_permit).await?;
        let mut checkout = match checked_out {
            ReadOutcome::Answered(answer) => answer.value,
            ReadOutcome::NotFresh(not_fresh) => return Ok(ReadOutcome::NotFresh(not_fresh)),
        };
        // Moved: a future that captures `&Q::Query` would be `Send` for a `Sync` query only.
        let query = &mut self.query;
        let begin = async move |connection: &mut Connection| {
            begin_snapshot(connection).await?;
            connection.probe().await?;
            let sent = connection.sent();
            let rows = Q::stream(query, &connection.inner);
            let rows = rows.await.map_err(|error| connection.failed(error, sent));
            rows.map_err(|error| error.in_statement(|| sql(query)))
        };
        let rows = checkout.within_statement_limit(begin).await?;
        checkout.owe_answer(true);
        let state = checkout.state();
        let position = checkout.position(state.shown());
        Ok(ReadOutcome::Answered(Answer { value: Rows { checkout, rows }, state, position }))
    }
}

impl<U: Send + 'static> Rows<U> {
    /// The rows as a stream. Its end gives the connection back; dropping it earlier closes it.
    pub(super) fn into_stream(self) -> BoxStream<'static, Result<U, Error>> {
        try_unfold(self, Self::next).boxed()
    }

    async fn next(mut self) -> Result<Option<(U, Self)>, Error> {
        let (region, waited) = (self.checkout.region(), self.checkout.timeouts().answer());
        match timeout(waited, self.rows.next()).await {
            Ok(Some(Ok(row))) => Ok(Some((row, self))),
            Ok(Some(Err(error))) => Err(self.checkout.failed(error)),
            Ok(None) => {
                self.checkout.within_statement_limit(commit_snapshot).await?;
                Ok(None)
            }
            Err(_) => Err(Error::Timeout { region, waited }),
        }
    }
}
