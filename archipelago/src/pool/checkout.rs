//! A connection that one caller has checked out.

use std::sync::Arc;
use std::time::Duration;

use super::manager::CheckedOut;
use super::turns::Turn;
use crate::connection::{Connection, SpillPermit};
use crate::error::Error;
use crate::position::Position;
use crate::server::{HealthRecord, NotFresh, Requirement, ServerIdentity, ServerState};
use crate::settings::Timeouts;

/// A connection in use by one caller. Dropping it returns the connection to the pool, or closes it
/// if the server still owes an answer.
pub(crate) struct Checkout {
    pooled: CheckedOut,
    /// Lets the next caller take the connection, once it is back.
    _turn: Option<Turn>,
    health: Arc<HealthRecord>,
    timeouts: Timeouts,
}

impl Checkout {
    pub(super) fn new(
        pooled: CheckedOut,
        turn: Option<Turn>,
        health: Arc<HealthRecord>,
        timeouts: Timeouts,
    ) -> Self {
        Self { pooled, _turn: turn, health, timeouts }
    }

    /// Runs `work` within the time limit of one statement, however many it sends.
    pub(crate) async fn within_statement_limit<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Connection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.within(self.timeouts.answer(), work).await
    }

    /// Runs `work` within the time limit of a transaction, from BEGIN to its end.
    pub(crate) async fn within_transaction_limit<T, E: From<Error>>(
        &mut self,
        work: impl AsyncFnOnce(&mut Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        self.within(self.timeouts.transaction, work).await
    }

    /// Why the server does not satisfy the requirement of a read. Asks it, unless it has shown on
    /// this connection before that it does.
    pub(crate) async fn verify(
        &mut self,
        requirement: Requirement,
    ) -> Result<Option<NotFresh>, Error> {
        let connection = &self.pooled.connection;
        if connection.meets(requirement, &connection.state()).is_ok() {
            return Ok(None);
        }
        let state =
            self.within_statement_limit(async |connection| connection.probe().await).await?;
        Ok(self.pooled.connection.meets(requirement, &state).err())
    }

    /// Holds the permit until the connection goes back to the pool. One that is closed instead
    /// holds it until the server is done.
    pub(crate) fn hold(&mut self, permit: Option<SpillPermit>) {
        self.pooled.connection.hold(permit);
    }

    /// Whether the server still owes rows. A connection that is dropped meanwhile is closed.
    pub(crate) fn owe_answer(&mut self, owes: bool) {
        self.pooled.owes_answer = owes;
    }

    /// Whether the server has answered everything that it was sent, and goes on with the session.
    pub(crate) fn goes_on(&self) -> bool {
        !self.pooled.owes_answer && !self.pooled.connection.is_closed()
    }

    /// The failure of a statement that was sent.
    pub(crate) fn failed(&self, error: diesel::result::Error) -> Error {
        self.pooled.connection.failed(error, 0)
    }

    /// Asks the monitor to check the server, after work on it has failed.
    pub(crate) fn request_check(&self) {
        self.health.request_check();
    }

    pub(crate) fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    pub(crate) fn region(&self) -> &'static str {
        self.pooled.connection.region
    }

    /// Which server it leads to.
    pub(crate) fn identity(&self) -> ServerIdentity {
        self.pooled.connection.identity()
    }

    /// The state of the server when it was last asked on this connection.
    pub(crate) fn state(&self) -> ServerState {
        self.pooled.connection.state()
    }

    /// Records a commit up to `lsn`, and returns its position.
    pub(crate) fn record_commit(&self, lsn: u64) -> Position {
        self.health.record_write();
        self.position(lsn)
    }

    /// The position of a commit that could not be asked.
    pub(crate) fn unknown_position(&self) -> Position {
        let Position { system, timeline, .. } = self.position(0);
        Position::unknown(system, timeline)
    }

    /// The position of `lsn` on the timeline that the server was last on.
    pub(crate) fn position(&self, lsn: u64) -> Position {
        self.pooled.connection.position(lsn, self.state().timeline)
    }

    /// Runs `work` until it ends, `limit` passes, or the monitor declares the server silent.
    async fn within<T, E: From<Error>>(
        &mut self,
        limit: Duration,
        work: impl AsyncFnOnce(&mut Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        let region = self.region();
        self.pooled.owes_answer = true;
        let waited = tokio::select! {
            biased;
            answer = tokio::time::timeout(limit, work(&mut self.pooled.connection)) => {
                if let Ok(answer) = answer {
                    self.pooled.owes_answer = false;
                    return answer;
                }
                limit
            }
            waited = self.health.until_silent() => waited,
        };
        let error = Error::Timeout { region, waited };
        let is_undone = self.pooled.connection.session().is_in_transaction();
        Err(if is_undone { error.undone() } else { error }.into())
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        if !self.pooled.owes_answer {
            self.hold(None);
        }
    }
}
