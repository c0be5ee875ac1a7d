//! `archipelago serve`: the databases where nobody named any, the migrations, the pages, and their end in order.

use std::io::{self, IsTerminal};

use archipelago::RegionSet;
use tracing_subscriber::EnvFilter;

use super::signals::Signals;
use super::{Failed, WrongSettings, env, report, say};
use crate::repos::Repos;
use crate::settings::{Settings, Vars};
use crate::{metrics, migrations, regions, server};

/// Serves until a signal comes.
///
/// # Errors
/// What to print before the program ends with status 1.
#[cfg(feature = "lab")]
pub async fn serve() -> Result<(), Failed> {
    use crate::local::{Local, rehearsal, with};

    if !Local::is_wanted(&env) {
        return serve_what_is_there().await;
    }
    // What is wrong is said before anything is started.
    let rehearsal = settings(&rehearsal(env))?;
    begin_log(&rehearsal)?;
    say("DATABASE_URL is not set: starting PostgreSQL under .lab/ …\n")?;
    let local = Local::start(archipelago_lab::Distances::default()).await?;
    report(&local.prepare().await?)?;
    let region = Some(rehearsal.databases.region()).filter(|region| !region.is_empty());
    let settings = settings(&with(local.seen_from(region.unwrap_or(Local::usual_region()))?, env))?;
    let served = serve_until_told(&settings).await;
    local.stop().await?;
    served
}

/// Serves until a signal comes.
///
/// # Errors
/// What to print before the program ends with status 1.
#[cfg(not(feature = "lab"))]
pub async fn serve() -> Result<(), Failed> {
    serve_what_is_there().await
}

/// Serves from the databases that the environment names.
async fn serve_what_is_there() -> Result<(), Failed> {
    let settings = settings(&env)?;
    begin_log(&settings)?;
    if settings.is_key_made_up && !settings.host.is_loopback() {
        tracing::warn!(
            "SECRET_KEY is not set: a visitor's cookies will mean nothing to another instance, nor after a restart"
        );
    }
    if settings.development {
        migrate(&settings).await?;
    }
    serve_until_told(&settings).await
}

pub(super) fn begin_log(settings: &Settings) -> Result<(), Failed> {
    let log = EnvFilter::try_new(&settings.log)?;
    tracing_subscriber::fmt()
        .with_env_filter(log)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
    Ok(())
}

async fn migrate(settings: &Settings) -> Result<(), Failed> {
    report(&migrations::run(settings.databases.url(Repos::PRIMARY.code)?).await?)
}

/// Serves until a signal comes, and then finishes what is in flight.
async fn serve_until_told(settings: &Settings) -> Result<(), Failed> {
    metrics::record()?;
    let mut signals = Signals::heard()?;
    let running = server::start(settings)?;
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
    signals.next().await;
    signals.finish(running.stop()).await
}

pub(super) fn settings(vars: &impl Vars) -> Result<Settings, Failed> {
    Ok(Settings::from_vars(vars).map_err(WrongSettings)?)
}
