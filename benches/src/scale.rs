//! `scale`: what more users, more regions and a start cost.

mod first;
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
    /// How often each is measured.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// For how long each load lasts, in seconds.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// How many are many users.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(i64::from(FEW_USERS)..))]
    users: u32,
    /// What each server may keep of its tables in memory: `shared_buffers`, as PostgreSQL writes it.
    #[arg(long, default_value = "256MB")]
    shared_buffers: String,
    /// How often the app is started.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    starts: u32,
    /// Only these.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Growth::value_variants().to_vec(), hide_default_value = true)]
    only: Vec<Growth>,
}

/// What there is more of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Growth {
    /// Users.
    Users,
    /// Regions of an instance.
    Regions,
    /// Instances that start.
    Start,
}

const FEW_USERS: u32 = 1000;

/// Of the client.
const CONNECTIONS: u32 = 64;

/// In seconds.
const WARM_UP: u64 = 1;

/// Measures, and prints.
///
/// # Errors
/// When something does not start, or an answer was wrong.
pub async fn run(options: &Options) -> Result<(), Failed> {
    let databases =
        Databases::start_with(Distances::default(), FEW_USERS, &options.shared_buffers).await?;
    let outcome = on(&databases, options).await;
    databases.stop().await?;
    outcome
}

async fn on(databases: &Databases, options: &Options) -> Result<(), Failed> {
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
