//! `load`: every contender in turn under the same load, round after round, and what each of them costs.

mod figures;
mod options;
mod report;
mod same;

use std::time::Duration;

use archipelago_lab::Distances;

use self::figures::Figures;
pub use self::options::Options;
use self::options::Workload;
use self::report::{Measured, Report};
use crate::Failed;
use crate::child::Running;
use crate::contenders::Contender;
use crate::cost::{CpuTime, memory};
use crate::databases::Databases;
use crate::wrk::Load;

/// Measures, and prints.
///
/// # Errors
/// When something does not start, or an answer was wrong.
pub async fn run(options: &Options) -> Result<(), Failed> {
    let databases = Databases::start(Distances::default(), options.users).await?;
    let outcome = on(&databases, options).await;
    databases.stop().await?;
    outcome
}

async fn on(databases: &Databases, options: &Options) -> Result<(), Failed> {
    print!("{}", report::heading(options, &databases.description().await?));
    same::check(databases, &options.contenders).await?;
    let mut report = Report::new(options);
    for round in 0..options.rounds {
        // Nobody is always the first: a machine drifts, and a table grows.
        let mut contenders = options.contenders.clone();
        contenders.rotate_left(round % options.contenders.len());
        for workload in &options.only {
            for contender in &contenders {
                eprintln!("round {} of {}: {}, {}", round + 1, options.rounds, workload.name(), contender.name());
                report.measured.push(measure(databases, options, *workload, *contender).await?);
                databases.settle().await?;
            }
        }
    }
    if let Some(file) = &options.json {
        std::fs::write(file, report.json()?)?;
    }
    print!("{}", report.text()?);
    Ok(())
}

/// One contender under one workload, in a process of its own that ends with it.
async fn measure(databases: &Databases, options: &Options, workload: Workload, contender: Contender) -> Result<Measured, Failed> {
    let Databases { primary, replica, .. } = databases;
    let running = Running::start(contender, databases).await?;
    let url = running.url("");
    let load =
        Load { script: workload.name(), seconds: options.seconds, connections: options.connections, argument: options.users };
    Load { seconds: options.warm_up, ..load }.run(&url).await?;
    let used = || CpuTime::now(running.pid, [primary.postmaster, replica.postmaster]);
    let before = used()?;
    let in_the_middle = async {
        tokio::time::sleep(Duration::from_secs(options.seconds) / 2).await;
        Ok::<_, Failed>((primary.connections().await?, replica.connections().await?))
    };
    let (answers, connections) = tokio::try_join!(load.run(&url), in_the_middle)?;
    let after = used()?;
    let memory = memory(running.pid)?;
    running.stop().await?;
    let figures = Figures::new(&answers, [before, after], memory, connections);
    Ok(Measured { workload, contender, figures, trouble: answers.trouble() })
}
