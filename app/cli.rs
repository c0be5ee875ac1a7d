//! The program's commands and their `--help`. `serve` and `lab` have files of their own.

#[cfg(feature = "lab")]
mod lab;
mod region_tables;
mod serve;

use archipelago::{RegionSet, Settings};
use clap::{Parser, Subcommand};
use tokio::runtime::Runtime;

use crate::console::{CommandError, print_status};
use crate::environment::process_env;
use crate::repos::Repos;
use crate::{bench, doctor, migrations};

/// Users pages that read from the Postgres replica nearest to this instance, and write to the
/// primary.
#[derive(Debug, Parser)]
#[command(name = "archipelago", version, after_help = ENVIRONMENT)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

const ENVIRONMENT: &str = "\
Settings come from the environment:
  DATABASE_URL           the primary; without it, `serve` and `bench` start PostgreSQL under .lab/
  DATABASE_URL_<REGION>  one region's database, instead of the host derived from DATABASE_URL
  DATABASE_READ_USER     the role of the sessions for reading, if it is another one; its password is
                         in DATABASE_READ_PASSWORD
  DATABASE_POOLER        session: PgBouncer in session mode leads to the databases
  FLY_REGION             the region of this instance; without it, the primary serves the reads
                         (with PostgreSQL under .lab/: the first replica's region)
  PRIMARY_REGION         must be the primary of regions.toml
  POOL_SIZE              connections to each server, 1 to 1000
  HOST, PORT             where to listen: 127.0.0.1 (on Fly ::) and 8080
  METRICS_PORT           the port of /metrics: 9091
  SECRET_KEY             64 hex digits that sign the cookies; required on Fly. May be several,
                         separated by commas: the first signs, all verify
  CHECK_MIGRATIONS       on: a database that lacks one of the program's migrations serves no
                         reads; or off
  MONITOR_REST           seconds without a request after which the monitor asks no database;
                         never where it is unset
  RUST_LOG               what to log: info,actix_server=warn
  LOG_FORMAT             text: lines for people; or json: one object per line";

#[derive(Debug, Default, Subcommand)]
enum Command {
    /// Serve the pages (the default).
    #[default]
    Serve,
    /// Run the pending migrations on the primary.
    Migrate,
    /// Print the regions of this build, the database host of each, and which replicas are nearest
    /// to each place.
    Regions,
    /// Compare every region's database as seen from this instance: how fast it answers, and how
    /// evenly.
    #[command(after_help = bench::NOTES)]
    Bench(bench::Options),
    /// Look at each region from here, and say what is wrong and what to do.
    #[command(after_help = doctor::NOTES)]
    Doctor(doctor::Options),
    /// Run all regions on this machine; from another terminal, cut their network, stop servers and
    /// more.
    #[cfg(feature = "lab")]
    #[command(subcommand)]
    Lab(lab::Lab),
}

impl Cli {
    /// Runs the command. An error is to be printed, and ends the program with status 1.
    ///
    /// The runtime starts here, not in `main`: a crate compiles each future that it awaits, and the
    /// program would compile all of the library's a second time.
    ///
    /// # Panics
    /// Inside of a runtime.
    pub fn run(self) -> Result<(), CommandError> {
        let runtime = Runtime::new()?;
        let outcome = runtime.block_on(self.run_command());
        // Does not wait for a name that is still being resolved.
        runtime.shutdown_background();
        outcome
    }

    async fn run_command(self) -> Result<(), CommandError> {
        match self.command.unwrap_or_default() {
            Command::Serve => serve::serve().await,
            Command::Migrate => migrate().await,
            Command::Regions => print_regions(),
            Command::Doctor(options) => doctor::run(&options, process_env).await,
            Command::Bench(options) => bench::run(&options, process_env).await,
            #[cfg(feature = "lab")]
            Command::Lab(command) => command.run().await,
        }
    }
}

async fn migrate() -> Result<(), CommandError> {
    let settings = Settings::from_env::<Repos>()?;
    let ran = migrations::run(settings.url(Repos::PRIMARY.code)?).await?;
    let report = migrations::report(&ran);
    print_status(if report.is_empty() { "nothing to migrate\n" } else { &report })
}

/// Without a `DATABASE_URL` the regions are still known, but not their hosts.
fn print_regions() -> Result<(), CommandError> {
    let settings = Settings::from_env::<Repos>();
    let regions = region_tables::regions(settings.as_ref().ok());
    let (nearest, limits) = (region_tables::nearest_replicas(), region_tables::limits());
    print_status(&format!("{regions}\n{nearest}\n{limits}"))?;
    match settings {
        Ok(_) => Ok(()),
        Err(invalid) => print_status(&format!("\nThe hosts are not known: {invalid}\n")),
    }
}
