//! Lends Diesel's connection to a caller, who may do anything in its session.

use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};

use super::Connection;
use crate::error::{Error, in_session};

impl Connection {
    /// Lends Diesel's connection to `work`. It is not used again afterwards: no list of commands
    /// resets all that a session can hold and keeps the statements that Diesel has prepared.
    pub(crate) async fn lend<T, E>(
        &mut self,
        work: impl AsyncFnOnce(&mut AsyncPgConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        self.session().end_after_use();
        let session = self.session().clone();
        in_session(session, async { work(&mut self.inner).await }).await
    }

    /// Ends the transaction that the caller has begun, so that the next answer is of the server's
    /// newest state.
    pub(crate) async fn end_transaction(&mut self) -> Result<(), Error> {
        if self.session().is_idle() {
            return Ok(());
        }
        let sent = self.sent();
        let ended = self.inner.batch_execute("ROLLBACK").await;
        ended.map_err(|error| self.failed(error, sent))
    }

    /// Asks for the server's state behind all that a caller has done.
    pub(crate) async fn end_transaction_and_probe(&mut self) -> Result<(), Error> {
        self.end_transaction().await?;
        self.probe().await.map(drop)
    }
}
