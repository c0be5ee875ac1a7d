//! A transaction at the leader, once or again.

use diesel_async::AsyncPgConnection;

use super::at_leader::checkout_and;
use super::{Primary, commit_position};
use crate::connection::{begin, transaction};
use crate::error::Error;
use crate::position::Committed;

/// Transactions that run again if a concurrent one undoes them. [`Primary::retries`] returns one.
#[derive(Clone, Copy, Debug)]
pub struct Retrying<'a> {
    pub(super) primary: Primary<'a>,
    pub(super) retries: u32,
}

impl Retrying<'_> {
    /// As [`Primary::transaction`], for work that can begin again: a clone of `work` runs each time.
    /// A closure is `Clone` if what it captures is.
    ///
    /// # Errors
    /// As there. After the last retry the conflict itself.
    pub async fn transaction<T, E>(
        self,
        work: impl AsyncFnOnce(&mut AsyncPgConnection) -> Result<T, E> + Clone,
    ) -> Result<Committed<T>, E>
    where
        E: From<Error> + From<diesel::result::Error>,
    {
        let mut retries = self.retries;
        loop {
            let mut is_conflict = false;
            let outcome = self.primary.transaction_once(work.clone(), &mut is_conflict).await;
            if outcome.is_ok() || !is_conflict || retries == 0 {
                return outcome;
            }
            retries -= 1;
        }
    }
}

/// Runs a transaction, and tells whether a concurrent one has undone it.
pub(super) async fn run_transaction<T, E>(
    primary: Primary<'_>,
    work: impl AsyncFnOnce(&mut AsyncPgConnection) -> Result<T, E>,
    is_conflict: &mut bool,
) -> Result<Committed<T>, E>
where
    E: From<Error> + From<diesel::result::Error>,
{
    let isolation = primary.isolation;
    let checkout =
        checkout_and(primary, async move |connection| begin(connection, isolation).await);
    let mut checkout = checkout.await?;
    let (leadership, region) = (primary.cluster.leadership(), checkout.region());
    let (identity, timeline) = (checkout.identity(), checkout.state().timeline);
    let work = async |connection: &mut AsyncPgConnection| {
        let value = work(connection).await?;
        // A promotion may have superseded this primary meanwhile.
        if leadership.is_led_by(region, identity, timeline) {
            Ok(value)
        } else {
            Err(E::from(Error::NotPrimary { region }))
        }
    };
    let run = checkout.within_transaction_limit(async |connection| {
        let session = connection.session().clone();
        let conflicts = session.conflicts();
        let outcome = transaction(connection, work).await;
        *is_conflict = session.conflicts() > conflicts;
        outcome
    });
    let outcome = run.await;
    if outcome.is_err() {
        if checkout.goes_on() {
            primary.record_failure(checkout.unknown_position());
        } else {
            primary.cluster.leader().traffic.failed();
        }
    }
    let (value, lsn) = outcome?;
    Ok(Committed { value, position: commit_position(&checkout, lsn) })
}
