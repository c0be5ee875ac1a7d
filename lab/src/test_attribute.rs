//! One test with `#[archipelago_lab::test]`, from the start of its world to its end.

mod database;
mod shared_servers;

use std::time::Duration;

use tokio::runtime::{self, Runtime};
use tokio::time::timeout;

use crate::test_attribute::database::Database;
use crate::{LabError, World};

/// Longer than any test takes if its waits have deadlines.
const LONGEST: Duration = Duration::from_mins(5);

/// A test as its attribute describes it. `lab/macros/src/expand.rs` writes these values.
#[derive(Debug)]
pub struct Test {
    /// The name of the function.
    pub name: &'static str,
    /// The region of the primary.
    pub primary: &'static str,
    /// The regions with a replica.
    pub replicas: &'static [&'static str],
    /// Whether no other test uses the servers.
    pub own_servers: bool,
    /// The runtime of the test.
    pub flavor: Flavor,
}

impl Test {
    /// Runs the test, and returns what it returns.
    ///
    /// # Panics
    /// If the test panics, does not end in time, or cannot get servers.
    #[track_caller]
    pub fn run<F: Future>(&self, body: impl FnOnce(World) -> F) -> F::Output {
        match self.try_run(body) {
            Ok(output) => output,
            Err(error) => panic!("{error}"),
        }
    }

    fn try_run<F: Future>(&self, body: impl FnOnce(World) -> F) -> Result<F::Output, LabError> {
        let runtime = self.flavor.runtime()?;
        if self.own_servers {
            let world =
                World::builder().primary(self.primary).replicas(self.replicas.iter().copied());
            let world = runtime.block_on(world.start())?;
            return runtime.block_on(self.bounded(body(world)));
        }
        let servers = runtime.block_on(shared_servers::get(self.primary, self.replicas))?;
        let database = runtime.block_on(Database::create(servers, self.name))?;
        runtime.block_on(self.bounded(body(database.world())))
    }

    async fn bounded<F: Future>(&self, body: F) -> Result<F::Output, LabError> {
        timeout(LONGEST, body)
            .await
            .map_err(|_| LabError::TestTimedOut { test: self.name, waited: LONGEST })
    }
}

/// The runtime of a test, named as in `#[tokio::test]`.
#[derive(Debug, Clone, Copy)]
pub enum Flavor {
    /// With two threads besides the test's own, so that a test may block in place, as the
    /// migrations of `diesel-async` do.
    MultiThread,
    /// Everything runs on the test's own thread.
    CurrentThread,
}

impl Flavor {
    fn runtime(self) -> Result<Runtime, LabError> {
        let mut builder = match self {
            Self::MultiThread => runtime::Builder::new_multi_thread(),
            Self::CurrentThread => runtime::Builder::new_current_thread(),
        };
        let built = builder.worker_threads(2).enable_all().build();
        built.map_err(|source| LabError::NoRuntime { source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_test_that_never_ends_is_ended_with_its_name() {
        let test = Test {
            name: "patience",
            primary: "home",
            replicas: &[],
            own_servers: false,
            flavor: Flavor::CurrentThread,
        };
        let error =
            test.bounded(std::future::pending::<()>()).await.err().map(|error| error.to_string());
        assert_eq!(
            error.as_deref(),
            Some("the test `patience` did not end within 300s: give each of its waits a deadline")
        );
    }
}
