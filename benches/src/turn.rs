//! One turn: a contender in a process of its own, under load for a while.

use std::time::Duration;

use crate::Failed;
use crate::child::Running;
use crate::cost::{CpuTime, memory};
use crate::databases::Databases;
use crate::figures::Figures;
use crate::wrk::Load;

/// What a turn showed.
#[derive(Clone, Debug)]
pub struct Turn {
    /// What it cost.
    pub figures: Figures,
    /// What was wrong with the answers, if anything was.
    pub trouble: Option<String>,
}

/// Puts a contender under load, after so many seconds of the same to warm up, and ends it.
///
/// # Errors
/// When it, a server or the client ends early.
pub async fn turn(
    running: Running,
    databases: &Databases,
    load: Load<'_>,
    warm_up: u64,
) -> Result<Turn, Failed> {
    let Databases { primary, replica, .. } = databases;
    let url = running.url("");
    Load { seconds: warm_up, ..load }.run(&url).await?;
    let used = || CpuTime::now(running.pid, [primary.postmaster, replica.postmaster]);
    let before = used()?;
    let in_the_middle = async {
        tokio::time::sleep(Duration::from_secs(load.seconds) / 2).await;
        Ok::<_, Failed>((primary.connections().await?, replica.connections().await?))
    };
    let (answers, connections) = tokio::try_join!(load.run(&url), in_the_middle)?;
    let after = used()?;
    let memory = memory(running.pid)?;
    running.stop().await?;
    // Whoever is next finds a replica that has nothing left to do.
    databases.settle().await?;
    Ok(Turn {
        figures: Figures::new(&answers, [before, after], memory, connections),
        trouble: answers.trouble(),
    })
}
