//! The program's commands, and what each of them does in which order.

use std::env::VarError;
use std::io::{self, IsTerminal, Write};

use archipelago::{RepoSet, SettingError};
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::repos::Repos;
use crate::settings::{Settings, Vars};
use crate::{metrics, migrations, regions, server};

/// Users pages that read from the Postgres replica nearest to this instance, and write to the primary.
#[derive(Debug, Parser)]
#[command(name = "archipelago", version, after_help = ENVIRONMENT)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

const ENVIRONMENT: &str = "\
Settings come from the environment:
  DATABASE_URL           the primary; without it, `serve` starts PostgreSQL under .lab/
  DATABASE_URL_<REGION>  one region's database, instead of the host made from DATABASE_URL
  FLY_REGION             where this instance runs; without it, the primary serves the reads
                         (under .lab/: it plays the first replica's region)
  PRIMARY_REGION         must be the primary of regions.toml
  POOL_SIZE              connections to each region, 1 to 1000
  HOST, PORT             where the pages are: 127.0.0.1 (on Fly ::) and 8080
  METRICS_PORT           where /metrics is: 9091
  SECRET_KEY             64 hex digits that sign the cookies; required on Fly
  RUST_LOG               what is logged: info,actix_server=warn";

#[derive(Clone, Copy, Debug, Default, Subcommand)]
enum Command {
    /// Serve the pages (the default).
    #[default]
    Serve,
    /// Run the migrations on the primary.
    Migrate,
    /// Print the compiled regions, their hosts as the environment has them, and the order of nearness.
    Regions,
}

/// What a command ends with, to be printed.
type Failed = Box<dyn std::error::Error + Send + Sync>;

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
            Command::Serve => start_and_serve().await,
            Command::Migrate => {
                let settings = database_settings(&env)?;
                let ran = migrations::run(settings.url(Repos::PRIMARY.code)?).await?;
                if ran.is_empty() { say("nothing to migrate\n") } else { report(&ran) }
            }
            Command::Regions => {
                let settings = database_settings(&env);
                let (table, orders, rules) = (regions::table(settings.as_ref().ok()), regions::orders(), regions::rules());
                say(&format!("{table}\n{orders}\n{rules}"))?;
                settings.map(drop).or_else(|wrong| say(&format!("\nno hosts: {wrong}\n")))
            }
        }
    }
}

#[cfg(feature = "lab")]
async fn start_and_serve() -> Result<(), Failed> {
    use crate::local::Local;

    if !Local::is_wanted(&env) {
        return serve_what_is_there().await;
    }
    // What is wrong is said before anything is started.
    let rehearsal = settings(&Local::rehearsal(env))?;
    begin_log(&rehearsal)?;
    say("DATABASE_URL is not set: starting PostgreSQL under .lab/ …\n")?;
    let local = Local::start().await?;
    let settings = settings(&local.vars(env))?;
    migrate(&settings).await?;
    local.settle(settings.databases.url(Repos::PRIMARY.code)?).await?;
    let served = serve(&settings).await;
    local.stop().await?;
    served
}

#[cfg(not(feature = "lab"))]
async fn start_and_serve() -> Result<(), Failed> {
    serve_what_is_there().await
}

/// Serves from the databases that the environment names.
async fn serve_what_is_there() -> Result<(), Failed> {
    let settings = settings(&env)?;
    begin_log(&settings)?;
    if settings.is_key_made_up && !settings.host.is_loopback() {
        tracing::warn!("SECRET_KEY is not set: a visitor's cookies will mean nothing to another instance, nor after a restart");
    }
    if settings.development {
        migrate(&settings).await?;
    }
    serve(&settings).await
}

fn begin_log(settings: &Settings) -> Result<(), Failed> {
    let log = EnvFilter::try_new(&settings.log)?;
    tracing_subscriber::fmt().with_env_filter(log).with_writer(io::stderr).with_ansi(io::stderr().is_terminal()).init();
    Ok(())
}

async fn migrate(settings: &Settings) -> Result<(), Failed> {
    report(&migrations::run(settings.databases.url(Repos::PRIMARY.code)?).await?)
}

/// Serves until a signal comes, and then finishes what is in flight.
async fn serve(settings: &Settings) -> Result<(), Failed> {
    metrics::record()?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let running = server::start(settings).await?;
    let region = Some(settings.databases.region()).filter(|region| !region.is_empty());
    if let Some(region) = region.filter(|region| !Repos::knows(region)) {
        tracing::warn!(
            region,
            "FLY_REGION is no region and no place that regions.toml or Fly knows; the primary serves the reads"
        );
    }
    // From here on it serves, whether or not anybody reads what it prints.
    let _ = say(&format!(
        "{}\nThis instance plays {}; its reads go to {}.\nListening on http://{} (metrics on http://{}/metrics). Stop with Ctrl-C.\n",
        regions::table(Some(&settings.databases)),
        region.unwrap_or("no region"),
        running.reads_from(),
        running.address,
        running.metrics_address,
    ));
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    let _ = say("\nFinishing the requests in flight …\n");
    tokio::select! {
        () = running.stop() => Ok(()),
        _ = interrupt.recv() => Err("stopped at once by a second Ctrl-C".into()),
    }
}

fn settings(vars: &impl Vars) -> Result<Settings, Failed> {
    Ok(Settings::from_vars(vars).map_err(WrongSettings)?)
}

fn database_settings(vars: &impl Vars) -> Result<archipelago::Settings, Failed> {
    Ok(archipelago::Settings::from_vars::<Repos>(vars).map_err(WrongSettings)?)
}

fn env(name: &str) -> Result<String, VarError> {
    std::env::var(name)
}

fn report(migrations: &[String]) -> Result<(), Failed> {
    migrations.iter().try_for_each(|name| say(&format!("migrated {name}\n")))
}

/// To standard output. Unlike `print!`, ends without a panic when nobody reads it any more.
fn say(text: &str) -> Result<(), Failed> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
