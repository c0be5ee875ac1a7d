//! `archipelago lab`: the world on this machine, and what is done to it from another terminal.

mod up;

use clap::Subcommand;

use super::Failed;

/// What is wanted of the world.
#[derive(Debug, Subcommand)]
pub enum Lab {
    /// Start all of it: in every region a database and an instance of the app, as far apart as in the world, and an edge in front.
    Up(up::Options),
}

impl Lab {
    /// Does it.
    ///
    /// # Errors
    /// What to print before the program ends with status 1.
    pub async fn run(self) -> Result<(), Failed> {
        match self {
            Self::Up(options) => up::up(&options).await,
        }
    }
}
