//! `cargo run --release -p archipelago-benches -- load`: Archipelago beside programs that do the same without it, on this machine.

mod child;
mod contenders;
mod cost;
mod counter;
mod databases;
mod far;
mod faults;
mod figures;
mod idle;
mod load;
mod scale;
mod slow;
mod turn;
mod verify;
mod wrk;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::contenders::Contender;

/// Archipelago beside programs that do the same without it, measured on this machine.
#[derive(Debug, Parser)]
#[command(name = "archipelago-benches")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What visitors of a far region notice when a server or a line fails, or another server becomes the primary.
    Faults(faults::Options),
    /// What an instance costs that nobody asks: the queries and bytes by which it watches the databases.
    Idle(idle::Options),
    /// The same pages from every contender in turn: requests, latencies, CPU time, memory, connections.
    Load(load::Options),
    /// What more users, more regions and a start cost.
    Scale(scale::Options),
    /// How quick reads are while one of a hundred is slow.
    Slow(slow::Options),
    /// What it costs to ask the replica, with a read, whether it shows what this visitor wrote.
    Verify(verify::Options),
    /// Be a contender: started by the other commands.
    #[command(hide = true)]
    Serve {
        /// Which.
        contender: Contender,
    },
    /// Be an instance of `scale`.
    #[command(hide = true)]
    ServeRegions {
        /// With how many.
        regions: scale::Regions,
    },
    /// Be a contender of `slow`.
    #[command(hide = true)]
    ServeSlow {
        /// Which.
        contender: Contender,
    },
}

/// What a command ends with, to be printed.
type Failed = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Faults(options) => faults::run(&options).await,
        Command::Idle(options) => idle::run(&options).await,
        Command::Load(options) => load::run(&options).await,
        Command::Scale(options) => scale::run(&options).await,
        Command::Slow(options) => slow::run(&options).await,
        Command::Verify(options) => verify::run(&options).await,
        Command::Serve { contender } => contender.serve().await,
        Command::ServeRegions { regions } => scale::serve(regions).await,
        Command::ServeSlow { contender } => slow::serve(contender).await,
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
