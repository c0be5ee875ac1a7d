//! `archipelago lab status`: the state of every server and network line, as a table or as JSON.

use std::io::{IsTerminal, stdout};
use std::time::Duration;

use archipelago_lab::{Command, CommandOutput};
use tokio::time::{MissedTickBehavior, interval};

use super::running_lab;
use crate::console::{CommandError, print_status};

/// How often a terminal is refreshed.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);

/// Terminal escape sequences: moves the cursor to the top left.
const CURSOR_HOME: &str = "\x1b[H";
/// Erases the rest of a line, and ends it.
const ERASE_LINE: &str = "\x1b[K\n";
/// Erases everything below the cursor.
const ERASE_BELOW: &str = "\x1b[J";

/// The options of `lab status`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Print it once, as JSON.
    #[arg(long)]
    json: bool,
    /// Print it once, even on a terminal.
    #[arg(long)]
    once: bool,
}

/// Prints the status once; on a terminal again and again, until Ctrl-C or the end of the lab.
pub(super) async fn show(options: &Options) -> Result<(), CommandError> {
    let lab = running_lab()?;
    if options.json {
        return match lab.send(&Command::Status).await? {
            CommandOutput::Status(status) => {
                print_status(&format!("{}\n", serde_json::to_string_pretty(&status)?))
            }
            other => Err(format!("the lab did not answer with its status: {other}").into()),
        };
    }
    if options.once || !stdout().is_terminal() {
        return print_status(&format!("{}\n", lab.send(&Command::Status).await?));
    }
    let mut refresh = interval(REFRESH_INTERVAL);
    refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        refresh.tick().await;
        let status = lab.send(&Command::Status).await?.to_string();
        print_status(&format!(
            "{CURSOR_HOME}{}{ERASE_LINE}{ERASE_BELOW}",
            status.replace('\n', ERASE_LINE)
        ))?;
    }
}
