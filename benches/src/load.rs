//! `load`: every contender in turn under the same load, round after round, and what each of them costs.

mod against;
mod options;
mod report;
mod same;

use archipelago_lab::Distances;

pub use self::options::Options;
use self::report::Report;
use crate::Failed;
use crate::child::Running;
use crate::databases::Databases;
use crate::turn::turn;
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
    println!("{}", databases.description().await?);
    println!("{}", report::heading(options));
    if let Some(other) = &options.against {
        return against::run(databases, options, other).await;
    }
    same::check(databases, &options.contenders).await?;
    let mut report = Report::new(options);
    for round in 0..options.rounds {
        // Nobody is always the first: a machine drifts, and a table grows.
        let mut contenders = options.contenders.clone();
        contenders.rotate_left(round % options.contenders.len());
        for workload in &options.only {
            let Options { seconds, connections, users, .. } = *options;
            let load = Load { script: workload.name(), seconds, connections, users };
            for contender in &contenders {
                eprintln!(
                    "round {} of {}: {}, {}",
                    round + 1,
                    options.rounds,
                    workload.name(),
                    contender.name()
                );
                let running =
                    Running::start(&["serve", contender.name()], &databases.vars()?).await?;
                report.measured.push((
                    *workload,
                    *contender,
                    turn(running, databases, load, options.warm_up).await?,
                ));
            }
        }
    }
    if let Some(file) = &options.json {
        std::fs::write(file, report.json()?)?;
    }
    print!("{}", report.text()?);
    Ok(())
}
