//! A statement that commits by itself.

use futures_util::FutureExt;
use futures_util::future::join;

use super::at_leader::checkout;
use super::{Primary, commit_position};
use crate::connection::{Request, warn_of_unknown_position};
use crate::error::Error;
use crate::position::Committed;
use crate::settings::Safeguard;

/// Sends a statement, and asks for the position behind it: one round trip.
pub(super) async fn write_once<R: Request>(
    primary: Primary<'_>,
    write: &mut R,
) -> Result<Committed<R::Output>, Error> {
    let asks_after = primary.cluster.leadership().safeguards.has(Safeguard::AfterCommit);
    let mut checkout = checkout(primary).await?;
    // Outside of the time limit: the write is certain once it is answered, even if the answer
    // to the request for its position never comes.
    let mut output = None;
    let position = checkout.within_statement_limit(async |connection| {
        let lsn = connection.commit_lsn();
        let (answer, is_sent_at_once) = (write.send(connection), write.is_sent_at_once());
        let run = answer.map(|answer| output = Some(answer));
        if !asks_after {
            // Wrong on purpose: a test switches the safeguard off.
            Ok(join(lsn, run).await.0?)
        } else if is_sent_at_once {
            Ok(join(run, lsn).await.1?)
        } else {
            run.await;
            Ok(lsn.await?)
        }
    });
    let position = position.await;
    let Some(output) = output else {
        let waited = checkout.timeouts().answer();
        let unanswered = Error::Timeout { region: checkout.region(), waited };
        return Err(position.err().unwrap_or(unanswered));
    };
    let value = output.inspect_err(|error| {
        // Read-only: it may have been replaced.
        if error.code() == Some("25006") {
            checkout.request_check();
        }
        if error.constraint().is_some() {
            primary.record_failure(checkout.unknown_position());
        }
    })?;
    let lsn = position.inspect_err(warn_of_unknown_position).ok();
    Ok(Committed { value, position: commit_position(&checkout, lsn) })
}
