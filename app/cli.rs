//! The program's commands, and what each of them does in which order.

#[cfg(feature = "lab")]
mod lab;
mod serve;
pub(crate) mod signals;

use std::env::VarError;
use std::io::{self, Write};

use archipelago::{RegionSet, SettingError};
use clap::{Parser, Subcommand};

use crate::repos::Repos;
use crate::settings::Vars;
use crate::{bench, migrations, regions};

/// Users pages that read from the Postgres replica nearest to this instance, and write to the primary.
#[derive(Debug, Parser)]
#[command(name = "archipelago", version, after_help = ENVIRONMENT)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

const ENVIRONMENT: &str = "\
Settings come from the environment:
  DATABASE_URL           the primary; without it, `serve` and `bench` start PostgreSQL under .lab/
  DATABASE_URL_<REGION>  one region's database, instead of the host made from DATABASE_URL
  FLY_REGION             where this instance runs; without it, the primary serves the reads
                         (under .lab/: it plays the first replica's region)
  PRIMARY_REGION         must be the primary of regions.toml
  POOL_SIZE              connections to each region, 1 to 1000
  HOST, PORT             where the pages are: 127.0.0.1 (on Fly ::) and 8080
  METRICS_PORT           where /metrics is: 9091
  SECRET_KEY             64 hex digits that sign the cookies; required on Fly
  RUST_LOG               what is logged: info,actix_server=warn";

#[derive(Debug, Default, Subcommand)]
enum Command {
    /// Serve the pages (the default).
    #[default]
    Serve,
    /// Run the migrations on the primary.
    Migrate,
    /// Print the compiled regions, their hosts as the environment has them, and the order of nearness.
    Regions,
    /// Compare every region's database as seen from this instance: how fast it answers, and how evenly.
    #[command(after_help = bench::NOTES)]
    Bench(bench::Options),
    /// Run the whole world on this machine, and cut its lines, stop its servers and more from another terminal.
    #[cfg(feature = "lab")]
    #[command(subcommand)]
    Lab(lab::Lab),
}

/// What a command ends with, to be printed.
pub(crate) type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Several wrong settings, one a line.
#[derive(Debug, thiserror::Error)]
#[error("the settings are wrong:\n  {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n  "))]
struct WrongSettings(Vec<SettingError>);

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// What to print before the program ends with status 1.
    pub async fn run(self) -> Result<(), Failed> {
        match self.command.unwrap_or_default() {
            Command::Serve => serve::serve().await,
            Command::Migrate => {
                let settings = database_settings(&env)?;
                let ran = migrations::run(settings.url(Repos::PRIMARY.code)?).await?;
                if ran.is_empty() { say("nothing to migrate\n") } else { report(&ran) }
            }
            Command::Bench(options) => bench::run(&options, env).await,
            #[cfg(feature = "lab")]
            Command::Lab(command) => command.run().await,
            Command::Regions => {
                let settings = database_settings(&env);
                let (table, orders, rules) =
                    (regions::table(settings.as_ref().ok()), regions::orders(), regions::rules());
                say(&format!("{table}\n{orders}\n{rules}"))?;
                settings.map(drop).or_else(|wrong| say(&format!("\nno hosts: {wrong}\n")))
            }
        }
    }
}

pub(crate) fn database_settings(vars: &impl Vars) -> Result<archipelago::Settings, Failed> {
    Ok(archipelago::Settings::from_vars::<Repos>(vars).map_err(WrongSettings)?)
}

fn env(name: &str) -> Result<String, VarError> {
    std::env::var(name)
}

fn report(migrations: &[String]) -> Result<(), Failed> {
    migrations.iter().try_for_each(|name| say(&format!("migrated {name}\n")))
}

/// To standard output. Unlike `print!`, ends without a panic when nobody reads it any more.
pub(crate) fn say(text: &str) -> Result<(), Failed> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
