//! `load`: the same pages under the same load, served by each contender in turn.
//!
//! Measures requests per second, latencies, CPU time, memory and connections of this app, of a
//! hand-written program with pools, and of two on tokio-postgres. With `--against BINARY` it
//! measures the app of this build and the app of another build instead.
//!
//! `cargo run --release -p archipelago-benches -- load`

mod against;
mod options;
mod report;
mod same;

use archipelago_lab::Distances;
use archipelago_measure::files;

pub use self::options::Options;
use self::report::Report;
use crate::Failed;
use crate::databases::Databases;
use crate::turn::turn;

/// Measures, and prints the report.
///
/// # Errors
/// When a program or server does not start, or an answer was wrong.
pub async fn run(options: &Options) -> Result<(), Failed> {
    if let Some(file) = &options.json {
        files::check(file)?;
    }
    let databases = Databases::start(Distances::default(), options.users).await?;
    let outcome = measure(&databases, options).await;
    databases.stop().await?;
    outcome
}

async fn measure(databases: &Databases, options: &Options) -> Result<(), Failed> {
    println!("{}", databases.description().await?);
    println!("{}", report::heading(options));
    if let Some(other) = &options.against {
        return against::run(databases, options, other).await;
    }
    same::check(databases, &options.contenders).await?;
    let mut report = Report::new(options);
    for round in 0..options.rounds {
        // The order changes from round to round: a machine becomes slower, and a table grows.
        let mut contenders = options.contenders.clone();
        contenders.rotate_left(round % options.contenders.len());
        for workload in &options.only {
            for contender in &contenders {
                eprintln!(
                    "round {} of {}: {}, {}",
                    round + 1,
                    options.rounds,
                    workload.name(),
                    contender.name()
                );
                let running = contender.start(&databases.vars()?).await?;
                let load = options.load(*workload);
                let turn = turn(running, databases, load, options.warm_up).await?;
                report.turns.push((*workload, *contender, turn));
            }
        }
    }
    if let Some(file) = &options.json {
        files::write(file, &report.json()?)?;
    }
    print!("{}", report.text()?);
    Ok(())
}
