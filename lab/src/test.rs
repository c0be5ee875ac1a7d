//! What `#[archipelago_lab::test]` stands on: one test, from its world to its end.

mod database;
mod shared;

use std::time::Duration;

use tokio::runtime::{self, Runtime};
use tokio::time::timeout;

use crate::test::database::Database;
use crate::{LabError, World};

/// Longer than any test takes whose waits have deadlines.
const LONGEST: Duration = Duration::from_mins(5);

/// A test as its attribute describes it; `lab/macros/src/expand.rs` writes these.
#[derive(Debug)]
pub struct Test {
    /// The function's name.
    pub name: &'static str,
    /// The region of the primary.
    pub primary: &'static str,
    /// The regions with a replica.
    pub replicas: &'static [&'static str],
    /// Nobody else uses the servers.
    pub own_servers: bool,
}

impl Test {
    /// Runs the test, and returns what it returns.
    ///
    /// # Panics
    /// When the test does, when there are no servers for it, and when it does not come to an end.
    #[track_caller]
    pub fn run<F: Future>(&self, body: impl FnOnce(World) -> F) -> F::Output {
        match self.try_run(body) {
            Ok(output) => output,
            Err(error) => panic!("{error}"),
        }
    }

    fn try_run<F: Future>(&self, body: impl FnOnce(World) -> F) -> Result<F::Output, LabError> {
        let runtime = runtime()?;
        if self.own_servers {
            let world =
                World::builder().primary(self.primary).replicas(self.replicas.iter().copied());
            let world = runtime.block_on(world.start())?;
            return runtime.block_on(self.bounded(body(world)));
        }
        let servers = runtime.block_on(shared::servers(self.primary, self.replicas))?;
        let database = runtime.block_on(Database::create(servers, self.name))?;
        runtime.block_on(self.bounded(body(database.world())))
    }

    async fn bounded<F: Future>(&self, body: F) -> Result<F::Output, LabError> {
        timeout(LONGEST, body)
            .await
            .map_err(|_| LabError::Endless { test: self.name, waited: LONGEST })
    }
}

/// With threads besides the test's own, so that a test may block in place, as the migrations of `diesel-async` do.
fn runtime() -> Result<Runtime, LabError> {
    runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|source| LabError::NoRuntime { source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_test_that_waits_for_ever_is_ended_by_name() {
        let test = Test { name: "patience", primary: "home", replicas: &[], own_servers: false };
        let error =
            test.bounded(std::future::pending::<()>()).await.err().map(|error| error.to_string());
        assert_eq!(
            error.as_deref(),
            Some("the test `patience` did not end within 300s: give each of its waits a deadline")
        );
    }
}
