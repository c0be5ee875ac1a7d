//! `archipelago bench`: how fast every region's database answers, as seen from this instance's region.
//!
//! The measuring is `archipelago_measure`; here are the queries, and what is printed, drawn and written of the outcome.

mod axis;
mod databases;
mod files;
mod heading;
mod picture;
mod progress;
mod queries;
mod report;
mod table;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::path::PathBuf;
use std::time::Duration;

use archipelago_measure::Plan;
use clap::value_parser;
use humantime::parse_duration;

use self::databases::Databases;
use self::progress::Progress;
use self::queries::{Query, Work};
use self::report::{Report, Row};
use crate::console::{CommandError, print_status};
use crate::environment::Vars;
use crate::repos::Repos;
use crate::signals::ShutdownSignals;

/// What is measured, and where it is written.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// What each database is asked. All but `write` only read.
    #[arg(long, value_enum, default_value_t)]
    query: Query,
    /// The region that the databases are seen from: `FLY_REGION`, or else the primary's.
    ///
    /// With the databases under .lab/ it may be any region. With those of the environment this machine is where it is.
    #[arg(long, value_name = "REGION")]
    from: Option<String>,
    /// For how long each region is measured.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = some_time)]
    time: Duration,
    /// For how long each region is asked before that, so that connections are open.
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = parse_duration)]
    warm_up: Duration,
    /// Loops that ask at the same time.
    #[arg(long, value_name = "LOOPS", default_value_t = 1, value_parser = value_parser!(u32).range(1..=1000))]
    parallel: u32,
    /// Iterations per second, of all loops together; without it each loop asks again at once.
    ///
    /// A latency then counts from the moment when its iteration was due, not from when a loop came free for it: a database that
    /// stalls is charged for everybody who would have come meanwhile.
    #[arg(long, value_name = "PER_SECOND", value_parser = value_parser!(u32).range(1..=100_000))]
    rate: Option<u32>,
    /// Also write the figures as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also draw the distributions as a picture.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// What `--help` says below the options.
pub const NOTES: &str = "\
A duration is 5s, 500ms, 1m 30s. Ctrl-C ends the benchmark, and shows what was measured until then.
It ends with status 1 when a region gave no figures, or when it was interrupted.";

/// Why there is no benchmark, or not a whole one.
#[derive(Debug, thiserror::Error)]
enum BenchError {
    #[error("nothing was measured for {}: every iteration failed, see above", .0.join(", "))]
    NoFigures(Vec<&'static str>),
    #[error(
        "interrupted: {measured} of {regions} regions were measured, the last of them perhaps not for the whole time"
    )]
    Interrupted { measured: usize, regions: u32 },
}

/// Runs the benchmark.
///
/// # Errors
/// When it cannot begin, was interrupted, or a region gave no figures.
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
    print_status(&heading::of(&report, work, settings.pool_size()))?;

    let (rows, is_whole) = measure(plan, work, &repos).await?;
    let cleaned = work.clean_up(&repos).await;
    repos.shutdown().await;

    let (measured, regions) = (rows.len(), query.count());
    report.fill(rows);
    print_status(&table::of(&report))?;
    if let Some(path) = &options.json {
        files::write(path, &report.json()?)?;
    }
    if let Some(path) = &options.svg {
        files::write(path, &picture::of(&report)?)?;
    }
    cleaned?;
    let without: Vec<_> =
        report.rows.iter().filter(|row| row.figures.is_none()).map(|row| row.region).collect();
    if !is_whole {
        Err(BenchError::Interrupted { measured, regions }.into())
    } else if !without.is_empty() {
        Err(BenchError::NoFigures(without).into())
    } else {
        Ok(())
    }
}

/// One region after the other; false when a signal has ended it.
async fn measure(plan: Plan, work: Work, repos: &Repos) -> Result<(Vec<Row>, bool), CommandError> {
    let mut signals = ShutdownSignals::listen()?;
    let progress = Progress::new(&plan, work.query().count());
    let (mut rows, is_whole) = (Vec::new(), Cell::new(true));
    for (done, info) in (0..).zip(work.query().regions()) {
        let _moving = progress.moving(done, info.code);
        let stop = async {
            signals.recv().await;
            is_whole.set(false);
        };
        let outcome = plan.measure(stop, async || work.run(repos, info.code).await).await?;
        // A signal during the warm-up leaves nothing to show.
        if outcome.succeeded + outcome.errors > 0 {
            rows.push(Row::of(info, &outcome));
        }
        if !is_whole.get() {
            break;
        }
    }
    Ok((rows, is_whole.get()))
}

fn some_time(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(Duration::ZERO) => {
            Err("in no time nothing can be measured; write a duration such as 5s or 500ms"
                .to_owned())
        }
        Ok(time) => Ok(time),
        Err(error) => Err(error.to_string()),
    }
}
