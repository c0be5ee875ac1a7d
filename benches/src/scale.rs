//! `scale`: what more users, more regions and a start cost.
//!
//! Compares the app's pages with few users and with a million, an instance with two regions and one
//! with forty, and measures the time from the start of the app to its first answer.
//!
//! `cargo run --release -p archipelago-benches -- scale`

mod first_answer;
mod regions;
mod start;
mod users;

use archipelago_lab::Distances;
use clap::{Args, ValueEnum};

pub use self::regions::{Regions, serve};
use crate::Failed;
use crate::databases::Databases;

/// How to measure.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// How many turns each measurement has.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long each turn is measured, in seconds.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// The number of users that few users are compared with.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(i64::from(FEW_USERS)..))]
    users: u32,
    /// The `shared_buffers` of each server, as PostgreSQL writes them.
    #[arg(long, default_value = "256MB")]
    shared_buffers: String,
    /// How many times the app is started.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    starts: u32,
    /// Only these measurements.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Growth::value_variants().to_vec(), hide_default_value = true)]
    only: Vec<Growth>,
}

/// What grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Growth {
    /// The number of users.
    Users,
    /// The number of regions of an instance.
    Regions,
    /// Nothing: the start of the app.
    Start,
}

const FEW_USERS: u32 = 1000;

/// Connections of the client.
const CONNECTIONS: u32 = 64;

/// How long each turn warms up, in seconds.
const WARM_UP: u64 = 1;

/// Measures, and prints the report.
///
/// # Errors
/// When something does not start, or an answer was wrong.
pub async fn run(options: &Options) -> Result<(), Failed> {
    let databases =
        Databases::start_with(Distances::default(), FEW_USERS, &options.shared_buffers).await?;
    let outcome = measure(&databases, options).await;
    databases.stop().await?;
    outcome
}

async fn measure(databases: &Databases, options: &Options) -> Result<(), Failed> {
    println!("{}", databases.description().await?);
    for growth in &options.only {
        let text = match growth {
            Growth::Users => users::measure(databases, options).await?,
            Growth::Regions => regions::measure(databases, options).await?,
            Growth::Start => start::measure(databases, options).await?,
        };
        println!("\n{}", text.trim_end());
    }
    Ok(())
}
