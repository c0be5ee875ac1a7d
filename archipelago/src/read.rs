//! Reading: the handle, the choice of a database, and the next one where that cannot serve.
//!
//! A [`Replica`] is a [`ReadPlan`] with reading methods. [`run`](run::run) runs an
//! [`Operation`](operation::Operation) at the first database of the plan, which serves nearly every
//! read; a [`Failover`](failover::Failover) goes on from there.

mod attempts;
mod checked_out;
mod failover;
mod next_candidate;
mod operation;
mod plan;
mod replica;
mod result;
mod run;
mod snapshot;
mod stream;

#[cfg(test)]
pub(crate) use self::next_candidate::{Progress, Wanted};
pub use self::replica::Replica;
pub use self::result::ReadResult;
pub use self::snapshot::Snapshot;
