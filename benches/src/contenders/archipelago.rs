//! The app of this repository as `archipelago serve` starts it, with metrics and log.

use std::io::{self, IsTerminal};

use archipelago_app::settings::Settings;
use archipelago_app::{metrics, server};
use tracing_subscriber::EnvFilter;

use super::env_var;
use crate::Failed;
use crate::child::{announce, wait_for_stop};

pub(super) async fn serve(sharing: bool) -> Result<(), Failed> {
    let mut settings = Settings::from_vars(&env_var)?;
    if !sharing {
        settings.databases = settings.databases.without_sharing();
    }
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(&settings.log)?)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
    metrics::install_recorder()?;
    let running = server::start(&settings)?;
    announce(running.address)?;
    wait_for_stop().await;
    running.stop().await;
    Ok(())
}
