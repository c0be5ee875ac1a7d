//! `limits`: how many connections a process has while many workers read, write and drop what they
//! wait for, with few connections and with many.
//!
//! `cargo run --release -p archipelago-benches -- limits`

mod work;
mod workers;

use std::env::VarError;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use archipelago::Settings;
use archipelago_app::repos::Repos;
use archipelago_lab::Distances;
use archipelago_measure::{Column, FigureTable, Figures};
use clap::Args;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use self::work::Tally;
use self::workers::Runtimes;
use crate::Failed;
use crate::databases::Databases;

/// How to measure.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// How long each setup is measured, in seconds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// The values of `POOL_SIZE`.
    #[arg(long, value_delimiter = ',', default_value = "1,2,10")]
    pool_sizes: Vec<u32>,
    /// The numbers of workers.
    #[arg(long, value_delimiter = ',', default_value = "2,16,64")]
    workers: Vec<usize>,
}

const USERS: u32 = 1000;

/// Between two counts of the connections.
const PAUSE: Duration = Duration::from_millis(10);

/// Of connections the most that were counted, without the monitor's. A dropped operation is neither
/// refused nor done.
const COLUMNS: [Column; 6] = [
    Column::new("primary", "TO PRIMARY", 0),
    Column::new("replica", "TO REPLICA", 0),
    Column::new("done_per_second", "DONE/S", 0),
    Column::new("refused_per_cent", "REFUSED %", 2),
    Column::new("quick_p50_ms", "QUICK P50 ms", 1),
    Column::new("quick_p99_ms", "P99 ms", 1),
];

type Row = Figures<{ COLUMNS.len() }>;

/// Measures, and prints the report.
///
/// # Errors
/// When something does not start.
pub async fn run(options: &Options) -> Result<(), Failed> {
    let databases = Databases::start(Distances::default(), USERS).await?;
    let outcome = measure(&databases, options).await;
    databases.stop().await?;
    outcome
}

async fn measure(databases: &Databases, options: &Options) -> Result<(), Failed> {
    println!("{}\n", databases.description().await?);
    println!(
        "{} tasks at a time, for {} s: quick reads, reads of 20 ms, writes, transactions, snapshots, \
         reads that are dropped, and reads from spawn_blocking and block_in_place.\n",
        work::TASKS,
        options.seconds
    );
    let mut table = FigureTable::new(&["RUNTIMES", "WORKERS", "POOL_SIZE"], 2, &COLUMNS);
    for runtimes in Runtimes::ALL {
        for workers in &options.workers {
            for size in &options.pool_sizes {
                eprintln!("{runtimes}, {workers} workers, POOL_SIZE {size}");
                let seconds = options.seconds;
                let row = turn(databases, runtimes, *workers, (*size, seconds)).await?;
                table.add([runtimes.to_string(), workers.to_string(), size.to_string()], &row);
            }
        }
    }
    print!("{}", table.text());
    Ok(())
}

async fn turn(
    databases: &Databases,
    runtimes: Runtimes,
    workers: usize,
    (pool_size, seconds): (u32, u64),
) -> Result<Row, Failed> {
    let vars = databases.vars()?;
    let settings = Settings::from_vars::<Repos>(|wanted| {
        let var = vars.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
        var.ok_or(VarError::NotPresent)
    });
    let repos = Arc::new(Repos::new(&settings?.with_pool_size(pool_size))?);
    let (tally, stop) = (Arc::new(Tally::default()), Arc::new(AtomicBool::new(false)));
    let until = Instant::now() + Duration::from_secs(seconds);
    let working = {
        let (repos, tally, stop) = (repos.clone(), tally.clone(), stop.clone());
        spawn_blocking(move || runtimes.run(workers, &repos, &tally, &stop))
    };
    let mut most = [0; 2];
    while Instant::now() < until {
        let counts = [
            databases.primary.pooled_connections().await?,
            databases.replica.pooled_connections().await?,
        ];
        for (most, count) in most.iter_mut().zip(counts) {
            *most = count.max(*most);
        }
        sleep(PAUSE).await;
    }
    stop.store(true, Ordering::Relaxed);
    working.await??;
    repos.shutdown().await;
    #[expect(clippy::cast_precision_loss, reason = "no server has 2^53 connections")]
    let [primary, replica] = most.map(|count| count as f64);
    #[expect(clippy::cast_precision_loss, reason = "a turn takes some seconds")]
    let [done, refused, p50, p99] = tally.figures(seconds as f64);
    Ok(Figures([primary, replica, done, refused, p50, p99]))
}
