//! `archipelago bench`: measures how fast each region's database answers, seen from this instance.
//!
//! `archipelago_measure` repeats the queries and reports the outcome. This module has what is the
//! app's own: which databases, which queries, and the options.

mod databases;
mod heading;
mod queries;
mod report;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::path::PathBuf;
use std::time::Duration;

use archipelago_measure::{Entry, Plan, Progress, files};
use clap::value_parser;
use humantime::parse_duration;

use self::databases::Databases;
use self::queries::{Query, Work};
use self::report::Report;
use crate::console::{CommandError, print_status};
use crate::environment::Vars;
use crate::repos::Repos;
use crate::signals::ShutdownSignals;

/// What is measured, and which files the report is written to.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The query to send to each database. Only `write` changes data.
    #[arg(long, value_enum, default_value_t)]
    query: Query,
    /// The region from which the databases are seen [default: `FLY_REGION`, or the primary's]
    ///
    /// With the databases under .lab/ this may be any region. With databases from the environment
    /// it can only be the region of this machine.
    #[arg(long, value_name = "REGION")]
    from: Option<String>,
    /// How long to measure each region.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = positive_duration)]
    time: Duration,
    /// How long to query each region before that, so that connections are open.
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = parse_duration)]
    warm_up: Duration,
    /// How many loops query at the same time.
    #[arg(long, value_name = "LOOPS", default_value_t = 1, value_parser = value_parser!(u32).range(1..=1000))]
    parallel: u32,
    /// Iterations per second of all loops together; by default each loop queries back to back.
    ///
    /// With a rate, a latency counts from the moment when the iteration was due, even if no loop
    /// was free. A database that stalls is thereby charged for every request that would have
    /// arrived during the stall.
    #[arg(long, value_name = "PER_SECOND", value_parser = value_parser!(u32).range(1..=100_000))]
    rate: Option<u32>,
    /// Also write the figures to FILE as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also draw the distributions to FILE as a chart.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// The text below the options in `--help`.
pub const NOTES: &str = "\
A duration is written as 5s, 500ms or 1m 30s. Ctrl-C ends the benchmark and prints what was measured so far.
The exit status is 1 when a region has no figures or the benchmark was interrupted.";

/// Why the report is incomplete.
#[derive(Debug, thiserror::Error)]
enum BenchError {
    #[error("nothing was measured for {}: every iteration failed, see above", .0.join(", "))]
    NoFigures(Vec<String>),
    #[error(
        "interrupted: {measured} of {regions} regions were measured, the last perhaps not for the whole time"
    )]
    Interrupted { measured: usize, regions: u32 },
}

/// Runs the benchmark.
///
/// # Errors
/// When it cannot start, was interrupted, or a region has no figures.
pub async fn run(options: &Options, vars: impl Vars + Copy) -> Result<(), CommandError> {
    for path in options.json.iter().chain(&options.svg) {
        files::check(path)?;
    }
    let databases = Databases::seen_from(options.from.as_deref(), vars).await?;
    let compared = compare(&databases.settings, options).await;
    databases.shutdown().await?;
    compared
}

async fn compare(settings: &archipelago::Settings, options: &Options) -> Result<(), CommandError> {
    let &Options { query, time, warm_up, parallel, rate, .. } = options;
    let plan = Plan { warm_up, time, parallel, rate };
    let settings = settings.clone().with_pool_size(settings.pool_size().max(parallel));
    let repos = Repos::connect(&settings).await?;
    let work = Work::prepare(query, &repos).await?;
    let mut report = Report::new(settings.region(), query, plan);
    print_status(&heading::text(&report, work, settings.pool_size()))?;

    let (entries, is_complete) = measure(plan, work, &repos).await?;
    let cleaned = work.clean_up(&repos).await;
    repos.shutdown().await;

    let (measured, regions) = (entries.len(), query.count());
    report.set_entries(entries);
    print_status(&report.text())?;
    if let Some(path) = &options.json {
        files::write(path, &report.json()?)?;
    }
    if let Some(path) = &options.svg {
        files::write(path, &report.svg()?)?;
    }
    cleaned?;
    let without_figures: Vec<_> = report
        .entries
        .into_iter()
        .filter(|entry| entry.summary.is_none())
        .map(|entry| entry.name)
        .collect();
    if !is_complete {
        Err(BenchError::Interrupted { measured, regions }.into())
    } else if !without_figures.is_empty() {
        Err(BenchError::NoFigures(without_figures).into())
    } else {
        Ok(())
    }
}

/// Measures one region after the other; false when a signal ended it early.
async fn measure(
    plan: Plan,
    work: Work,
    repos: &Repos,
) -> Result<(Vec<Entry>, bool), CommandError> {
    let mut signals = ShutdownSignals::listen()?;
    let progress = Progress::new(&plan, work.query().count());
    let (mut entries, is_complete) = (Vec::new(), Cell::new(true));
    for (done, info) in (0..).zip(work.query().regions()) {
        let _advancing = progress.advance(done, info.code);
        let stop = async {
            signals.recv().await;
            is_complete.set(false);
        };
        let outcome = plan.measure(stop, async || work.run(repos, info.code).await).await?;
        // After a signal during the warm-up there is nothing to show.
        if outcome.succeeded + outcome.errors > 0 {
            entries.push(report::entry(info, &outcome));
        }
        if !is_complete.get() {
            break;
        }
    }
    Ok((entries, is_complete.get()))
}

fn positive_duration(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(Duration::ZERO) => {
            Err("in no time nothing can be measured; write a duration such as 5s or 500ms"
                .to_owned())
        }
        Ok(time) => Ok(time),
        Err(error) => Err(error.to_string()),
    }
}
