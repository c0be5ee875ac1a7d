//! `faults`: what visitors of a far region notice when a server or a line fails, or another server becomes the primary.

mod fault;
mod figures;
mod load;
mod table;

use std::path::PathBuf;
use std::time::Duration;

use archipelago_lab::{Server, World};
use clap::{Args, ValueEnum};
use tokio::time::{Instant, sleep, sleep_until};

use self::fault::Fault;
use self::figures::{Figures, Moments};
use self::load::{Answer, Kind, Load, Rates};
use crate::Failed;
use crate::child::Running;
use crate::contenders::{Contender, replica_region};
use crate::far::{self, INSTANCE};

/// How to measure.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Reads per second, each of a visitor who wrote nothing.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=5000))]
    reads: u32,
    /// Writes per second. Whoever wrote reads it at once.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=500))]
    writes: u32,
    /// For how long each fault lasts, in seconds.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Only these faults.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Fault::value_variants().to_vec(), hide_default_value = true)]
    only: Vec<Fault>,
    /// Also write every figure as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Those who are read.
const USERS: u32 = 1000;

/// Connections are opened over long lines, and watched for a while.
const WARM_UP: Duration = Duration::from_secs(5);

/// For the region's own replica to serve again once nothing is wrong any more.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long everything is watched after that.
const AFTERWARDS: Duration = Duration::from_secs(2);

/// Measures, and prints.
///
/// # Errors
/// When something does not start, or cannot be broken.
pub async fn run(options: &Options) -> Result<(), Failed> {
    println!("{}", table::heading(options));
    let mut rows = Vec::new();
    for fault in &options.only {
        eprintln!("{}: {}", fault.name(), fault.meaning());
        // Servers and an instance of its own, so that no fault leaves anything to the next.
        let world = far::world(USERS).await?;
        let answers = under_load(&world, *fault, options).await;
        world.shutdown().await?;
        let (moments, answers) = answers?;
        for trouble in table::troubles(&moments, &answers) {
            eprintln!("  {trouble}");
        }
        rows.push((*fault, Figures::new(&moments, &answers, replica_region())));
    }
    if let Some(file) = &options.json {
        std::fs::write(file, table::json(&rows)?)?;
    }
    print!("{}", table::table(&rows));
    Ok(())
}

/// What became of every request.
async fn under_load(
    world: &World,
    fault: Fault,
    options: &Options,
) -> Result<(Moments, Vec<Answer>), Failed> {
    let others = far::others(world).await?;
    let vars = far::vars(world, replica_region(), |server| server.url_from(INSTANCE))?;
    let running = Running::start(&["serve", Contender::Archipelago.name()], &vars).await?;
    let mut load = Load::start(
        &running.url(""),
        Rates { reads: options.reads, writes: options.writes },
        USERS,
    )?;
    sleep(WARM_UP).await;
    let began = Instant::now();
    let new_primary = async {
        match fault.promotes(world) {
            Some(server) => takes_writes(server).await.map(Some),
            None => Ok(None),
        }
    };
    let (new_primary, ()) = tokio::try_join!(new_primary, async { Ok(fault.begin(world).await?) })?;
    sleep_until(began + Duration::from_secs(options.seconds)).await;
    let healed = Instant::now();
    fault.end(world).await?;
    let at_home = |answer: &Answer| {
        answer.kind == Kind::Read
            && answer.due >= healed
            && answer.region.as_deref() == Some(replica_region())
    };
    if !load.until(PATIENCE, at_home).await {
        eprintln!("  {} does not serve again within {PATIENCE:?}", replica_region());
    }
    sleep(AFTERWARDS).await;
    let answers = load.stop().await;
    for instance in others.into_iter().chain([running]) {
        // What was measured is not lost for that.
        if let Err(error) = instance.stop().await {
            eprintln!("  {error}");
        }
    }
    Ok((Moments { began, healed, new_primary }, answers))
}

/// The moment from which a server takes writes.
async fn takes_writes(server: &Server) -> Result<Instant, Failed> {
    let session = server.client().await?;
    while session.query_one("SELECT pg_is_in_recovery()", &[]).await?.get(0) {
        sleep(Duration::from_millis(10)).await;
    }
    Ok(Instant::now())
}
