//! `archipelago lab`: the world on this machine, and what is done to it from another terminal.

mod status;
mod up;

use archipelago_lab::{Command, Remote, RemoteError};
use clap::Subcommand;

use super::{Failed, say};
use crate::local::folder;

/// What is wanted of the world.
#[derive(Debug, Subcommand)]
pub enum Lab {
    /// Start all of it: in every region a database and an instance of the app, as far apart as in the world, and an edge in front
    #[command(after_help = "HOST and PORT say where the edge is: 127.0.0.1 and 8080.")]
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
            Self::Command(command) => say(&format!("{}\n", running()?.send(&command).await?)),
        }
    }
}

/// The world that another process runs.
fn running() -> Result<Remote, Failed> {
    Remote::find(folder()).map_err(|error| match error {
        RemoteError::NoLab { folder } => {
            let folder = folder.display();
            format!("no lab is running in {folder}: start one there with `archipelago lab up`, or with `archipelago`").into()
        }
        other => other.into(),
    })
}
