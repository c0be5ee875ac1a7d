//! `archipelago serve`: starts local databases if none are configured, migrates, serves the pages
//! until a signal comes, and shuts all of it down.

use std::time::Duration;

use archipelago::RegionSet;

use super::region_tables;
use crate::console::{CommandError, print_status};
use crate::environment::process_env;
use crate::repos::Repos;
use crate::settings::Settings;
use crate::signals::ShutdownSignals;
use crate::{logging, metrics, migrations, server};

/// How long clients are told that this instance stops: the pause of a busy kept connection is shorter.
const NOTICE: Duration = Duration::from_secs(1);

/// Serves until a signal comes: from databases under `.lab/` if the environment names none.
#[cfg(feature = "lab")]
pub(super) async fn serve() -> Result<(), CommandError> {
    use crate::environment::overlay;
    use crate::local_databases::{LocalDatabases, validate_before_start};

    if !LocalDatabases::are_wanted(&process_env) {
        return serve_configured_databases().await;
    }
    let checked = validate_before_start(process_env)?;
    let _logging = logging::start(&checked)?;
    print_status("DATABASE_URL is not set: starting PostgreSQL under .lab/ …\n")?;
    let local = LocalDatabases::start(archipelago_lab::Distances::default()).await?;
    print_status(&migrations::report(&local.prepare().await?))?;
    let region = checked.region().unwrap_or(LocalDatabases::default_region());
    let settings = Settings::from_vars(&overlay(local.env_seen_from(region)?, process_env))?;
    let served = serve_until_signal(&settings, ShutdownSignals::listen()?).await;
    local.shutdown().await?;
    served
}

/// Serves until a signal comes.
#[cfg(not(feature = "lab"))]
pub(super) async fn serve() -> Result<(), CommandError> {
    serve_configured_databases().await
}

/// Serves from the databases that the environment names.
async fn serve_configured_databases() -> Result<(), CommandError> {
    let settings = Settings::from_vars(&process_env)?;
    let _logging = logging::start(&settings)?;
    archipelago::warn_of_unknown_overrides::<Repos>();
    if settings.is_key_temporary && !settings.host.is_loopback() {
        tracing::warn!(
            "SECRET_KEY is not set: this process made up a key, so its cookies are invalid on other instances and after a restart"
        );
    }
    // On Fly, the release command migrates once, before any instance starts.
    if settings.is_development {
        match migrations::run(settings.databases.url(Repos::PRIMARY.code)?).await {
            Ok(ran) => print_status(&migrations::report(&ran))?,
            // Other databases may serve, and one that lacks a migration does not.
            Err(error) if error.may_pass() => {
                tracing::warn!(%error, "this instance starts without having migrated");
            }
            Err(error) => return Err(error.into()),
        }
    }
    serve_until_signal(&settings, ShutdownSignals::listen()?.ignoring_hangups()).await
}

/// Serves until a signal comes, then finishes the requests in flight.
async fn serve_until_signal(
    settings: &Settings,
    mut signals: ShutdownSignals,
) -> Result<(), CommandError> {
    metrics::install_recorder()?;
    let mut running = server::start(settings)?;
    running.started().await?;
    // The server is up: a closed standard output must not stop it.
    let _ = print_status(&format!(
        "{}\nThis instance runs in {}; its reads go to {}.\nListening on http://{} (metrics on http://{}/metrics). Stop with Ctrl-C.\n",
        region_tables::regions(Some(&settings.databases)),
        settings.region().unwrap_or("no region"),
        running.reads_from(),
        running.address,
        running.metrics_address,
    ));
    tokio::select! {
        () = signals.recv() => {}
        error = running.ended() => return Err(error.into()),
    }
    let shutdown = async {
        running.drain(NOTICE).await;
        running.stop().await;
    };
    signals.shut_down(shutdown).await
}
