//! `archipelago lab status`: what the servers and lines are like, for people and for programs.

use std::io::{IsTerminal, stdout};
use std::time::Duration;

use archipelago_lab::{Command, CommandOutput};
use tokio::time::{MissedTickBehavior, interval};

use super::running;
use crate::cli::{Failed, say};

/// How often a terminal sees it anew.
const AGAIN: Duration = Duration::from_secs(1);

/// The escape sequences that put the cursor at the top, and erase what is right of and below it.
const TO_THE_TOP: &str = "\x1b[H";
const ERASE_LINE: &str = "\x1b[K\n";
const ERASE_BELOW: &str = "\x1b[J";

/// How it is shown.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Once, as JSON.
    #[arg(long)]
    json: bool,
    /// Once, also on a terminal.
    #[arg(long)]
    once: bool,
}

/// Shows it, on a terminal until Ctrl-C.
///
/// # Errors
/// When no lab is running, or it has ended.
pub async fn show(options: &Options) -> Result<(), Failed> {
    let lab = running()?;
    if options.json {
        return match lab.send(&Command::Status).await? {
            CommandOutput::Status(status) => {
                say(&format!("{}\n", serde_json::to_string_pretty(&status)?))
            }
            other => Err(format!("the lab answered something else: {other}").into()),
        };
    }
    if options.once || !stdout().is_terminal() {
        return say(&format!("{}\n", lab.send(&Command::Status).await?));
    }
    let mut looks = interval(AGAIN);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let status = lab.send(&Command::Status).await?.to_string();
        say(&format!("{TO_THE_TOP}{}{ERASE_LINE}{ERASE_BELOW}", status.replace('\n', ERASE_LINE)))?;
    }
}
