//! `archipelago lab`: the world on this machine, and what is done to it from another terminal.

mod status;
mod up;

use archipelago_lab::{Command, Remote};
use clap::Subcommand;

use super::{Failed, say};
use crate::local::folder;

/// What is wanted of the world.
#[derive(Debug, Subcommand)]
pub enum Lab {
    /// Start all of it: in every region a database and an instance of the app, as far apart as in the world, and an edge in front
    Up(up::Options),
    /// Show every server and every line, again and again on a terminal
    Status(status::Options),
    #[command(flatten)]
    Command(Command),
}

impl Lab {
    /// Does it. All but `up` is done by the process that runs the world: this one's is found by the folder `.lab`.
    ///
    /// # Errors
    /// What to print before the program ends with status 1.
    pub async fn run(self) -> Result<(), Failed> {
        match self {
            Self::Up(options) => up::up(&options).await,
            Self::Status(options) => status::show(&options).await,
            Self::Command(command) => say(&format!("{}\n", Remote::find(folder())?.send(&command).await?)),
        }
    }
}
