//! The runtimes that the tasks run on.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use archipelago_app::repos::Repos;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use super::work::{TASKS, Tally, work};
use crate::Failed;

/// How the workers share runtimes.
#[derive(Clone, Copy, Debug)]
pub enum Runtimes {
    /// Each has its own on one thread, as Actix's have.
    OneEach,
    /// All share one, whose threads steal each other's tasks.
    Shared,
}

impl fmt::Display for Runtimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::OneEach => "one each (Actix)",
            Self::Shared => "one for all",
        })
    }
}

impl Runtimes {
    pub const ALL: [Self; 2] = [Self::OneEach, Self::Shared];

    /// Runs the tasks on so many workers until `stop`. Blocks.
    ///
    /// # Errors
    /// When the system has no thread for a worker.
    pub fn run(
        self,
        workers: usize,
        repos: &Arc<Repos>,
        tally: &Arc<Tally>,
        stop: &Arc<AtomicBool>,
    ) -> Result<(), Failed> {
        let tasks = |of: Vec<usize>| {
            let (repos, tally, stop) = (repos.clone(), tally.clone(), stop.clone());
            async move {
                let mut tasks = JoinSet::new();
                for task in of {
                    tasks.spawn(work(task, repos.clone(), tally.clone(), stop.clone()));
                }
                tasks.join_all().await;
            }
        };
        match self {
            Self::Shared => {
                let runtime =
                    Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
                runtime.block_on(tasks((0..TASKS).collect()));
            }
            Self::OneEach => thread::scope(|scope| {
                let run = |worker: usize| -> Result<_, Failed> {
                    let runtime = Builder::new_current_thread().enable_all().build()?;
                    let tasks = tasks((worker..TASKS).step_by(workers).collect());
                    Ok(scope.spawn(move || runtime.block_on(tasks)))
                };
                (0..workers).map(run).collect::<Result<Vec<_>, _>>().map(drop)
            })?,
        }
        Ok(())
    }
}
