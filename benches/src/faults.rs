//! `faults`: what visitors of a distant region notice when a server or a line fails, or a replica
//! is promoted.
//!
//! An instance far from the primary serves reads and writes at a steady rate. For each fault, this
//! counts failed requests and measures the longest ones, from the fault until its repair; the fault
//! `nothing` is the yardstick.
//!
//! `cargo run --release -p archipelago-benches -- faults`

mod fault;
mod figures;
mod table;
mod visitors;

use std::path::PathBuf;
use std::time::Duration;

use archipelago_lab::{Server, World};
use archipelago_measure::files;
use clap::{Args, ValueEnum};
use tokio::time::{Instant, sleep, sleep_until};

pub use self::fault::Fault;
use self::figures::{Figures, Moments};
use self::visitors::{Answer, Kind, Rates, Visitors};
use crate::Failed;
use crate::contenders::{Contender, replica_region};
use crate::world::{self, INSTANCE};

/// How to measure.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Reads per second, each by a visitor who has written nothing.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=5000))]
    reads: u32,
    /// Writes per second, each followed by a read of the same visitor.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=500))]
    writes: u32,
    /// How long each fault lasts, in seconds.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Only these faults.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Fault::value_variants().to_vec(), hide_default_value = true)]
    only: Vec<Fault>,
    /// Also write all figures to FILE as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// How many users are read.
const USERS: u32 = 1000;

/// The time before a fault, in which the instance opens its connections over long distances.
const WARM_UP: Duration = Duration::from_secs(5);

/// The most time after the repair until the region's own replica serves again.
const RECOVERY_DEADLINE: Duration = Duration::from_mins(1);

/// How long requests continue after that.
const AFTERWARDS: Duration = Duration::from_secs(2);

/// Measures, and prints the report.
///
/// # Errors
/// When a server or an instance does not start, or a fault cannot be caused.
pub async fn run(options: &Options) -> Result<(), Failed> {
    if let Some(file) = &options.json {
        files::check(file)?;
    }
    println!("{}", table::heading(options));
    let mut rows = Vec::new();
    for fault in &options.only {
        eprintln!("{}: {}", fault.name(), fault.meaning());
        // Each fault has its own servers and instances, so that it does not affect the next one.
        let world = world::start(USERS).await?;
        let answers = under_load(&world, *fault, options).await;
        world.shutdown().await?;
        let (moments, answers) = answers?;
        for problem in table::problems(&moments, &answers) {
            eprintln!("  {problem}");
        }
        rows.push((*fault, Figures::new(&moments, &answers, replica_region())));
    }
    if let Some(file) = &options.json {
        files::write(file, &table::json(&rows)?)?;
    }
    print!("{}", table::table(&rows));
    Ok(())
}

/// Causes and repairs the fault under load. Returns every answer.
async fn under_load(
    world: &World,
    fault: Fault,
    options: &Options,
) -> Result<(Moments, Vec<Answer>), Failed> {
    let others = world::start_other_instances(world).await?;
    let vars = world::vars(world, replica_region(), |server| server.url_from(INSTANCE))?;
    let running = Contender::Archipelago.start(&vars).await?;
    let mut visitors = Visitors::start(
        &running.url(""),
        Rates { reads: options.reads, writes: options.writes },
        USERS,
    )?;
    sleep(WARM_UP).await;
    let began = Instant::now();
    let new_primary = async {
        match fault.promoted_server(world) {
            Some(server) => wait_for_writes(server).await.map(Some),
            None => Ok(None),
        }
    };
    let (new_primary, ()) = tokio::try_join!(new_primary, async { Ok(fault.cause(world).await?) })?;
    sleep_until(began + Duration::from_secs(options.seconds)).await;
    let repaired = Instant::now();
    fault.repair(world).await?;
    let at_home = |answer: &Answer| {
        answer.kind == Kind::Read
            && answer.due >= repaired
            && answer.region.as_deref() == Some(replica_region())
    };
    if !visitors.wait_for(RECOVERY_DEADLINE, at_home).await {
        eprintln!("  {} does not serve again within {RECOVERY_DEADLINE:?}", replica_region());
    }
    sleep(AFTERWARDS).await;
    let answers = visitors.stop().await;
    for instance in others.into_iter().chain([running]) {
        // The figures are still valid.
        if let Err(error) = instance.stop().await {
            eprintln!("  {error}");
        }
    }
    Ok((Moments { began, repaired, new_primary }, answers))
}

/// Waits until a server accepts writes, and returns that moment.
async fn wait_for_writes(server: &Server) -> Result<Instant, Failed> {
    let session = server.client().await?;
    while session.query_one("SELECT pg_is_in_recovery()", &[]).await?.get(0) {
        sleep(Duration::from_millis(10)).await;
    }
    Ok(Instant::now())
}
