//! `cargo run --release -p archipelago-benches -- load`: Archipelago beside programs that do the same without it, on this machine.

mod child;
mod contenders;
mod cost;
mod databases;
mod load;
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
    /// The same pages from every contender in turn: requests, latencies, CPU time, memory, connections.
    Load(load::Options),
    /// Be a contender: started by the other commands.
    #[command(hide = true)]
    Serve {
        /// Which.
        contender: Contender,
    },
}

/// What a command ends with, to be printed.
type Failed = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Load(options) => load::run(&options).await,
        Command::Serve { contender } => contender.serve().await,
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
