//! `archipelago lab`: runs all regions on this machine (`up`), and controls that lab from another
//! terminal.

mod map;
mod status;
mod up;

use archipelago_lab::{Command, Remote, RemoteError};
use clap::Subcommand;

use crate::console::{CommandError, print_status};
use crate::local_databases::lab_dir;

/// A command to the lab.
#[derive(Debug, Subcommand)]
pub(crate) enum Lab {
    /// Start a database and an instance of the app in every region, with the real distances between
    /// them, and an edge in front
    #[command(after_help = "HOST and PORT are those of the edge: 127.0.0.1 and 8080.")]
    Up(up::Options),
    /// Show every server and every network line; a terminal is refreshed each second
    Status(status::Options),
    #[command(flatten)]
    Command(Command),
}

impl Lab {
    /// Runs `up` in this process; all other commands go to the process that runs the lab.
    pub(crate) async fn run(self) -> Result<(), CommandError> {
        match self {
            Self::Up(options) => up::up(&options).await,
            Self::Status(options) => status::show(&options).await,
            Self::Command(command) => {
                print_status(&format!("{}\n", running_lab()?.send(&command).await?))
            }
        }
    }
}

/// The lab that another process runs in the folder `.lab`.
fn running_lab() -> Result<Remote, CommandError> {
    Remote::find(lab_dir()).map_err(|error| match error {
        RemoteError::NoLab { folder } => format!(
            "no lab is running in {}: start one there with `archipelago lab up`, or with `archipelago`",
            folder.display()
        )
        .into(),
        other => other.into(),
    })
}
