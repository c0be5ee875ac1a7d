//! Measurements of Archipelago on one machine, each beside programs that do the same without it.
//!
//! `cargo run --release -p archipelago-benches -- COMMAND`, where COMMAND is:
//!
//! - `load`: the same pages, served by this app, by a hand-written program and by two on
//!   tokio-postgres. Requests per second, latencies, CPU time, memory and connections.
//! - `load --against BINARY`: the same pages, served by the app of this build and by the app of
//!   another build, in interleaved pairs with the ratio of each pair.
//! - `count`: the instructions of a request to this app, to the hand-written program and to the one on
//!   tokio-postgres, as callgrind counts them.
//! - `slow`: quick reads while one of a hundred reads is slow, through pools and through pipelined
//!   connections, with and without Archipelago. Latencies.
//! - `verify`: reads that prove their freshness, reads of any age, and reads from a plain pool.
//!   Reads per second and latencies.
//! - `scale`: pages of few and of many users, an instance with two regions and one with forty, and
//!   the time to the first answer.
//! - `faults`: an instance while a server or a line fails, and without a fault. Failed and slow
//!   requests.
//! - `soak`: an instance under visitors with cookie jars for half an hour, with two faults. Memory, open
//!   files, threads, failures.
//! - `limits`: many workers that read, write and drop what they wait for, with few connections and
//!   many. The most connections, refusals, latencies.
//! - `idle`: an instance without requests. The queries and bytes between it and each server.
//!
//! `cargo bench -p archipelago-benches` runs `criterion/choice.rs`: the nanoseconds to choose a
//! database, by the generated match and by what one would write without it.

mod browser;
mod child;
mod contenders;
mod cost;
mod count;
mod databases;
mod faults;
mod http;
mod idle;
mod limits;
mod load;
mod scale;
mod slow;
mod soak;
mod turn;
mod verify;
mod world;
mod wrk;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::contenders::Contender;

/// Measures Archipelago on this machine, beside programs that do the same without it.
#[derive(Debug, Parser)]
#[command(name = "archipelago-benches")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// How many instructions a request costs each contender, as callgrind counts them.
    Count(count::Options),
    /// What visitors of a distant region notice of faults: a server or line fails, a replica is
    /// promoted.
    Faults(faults::Options),
    /// What an instance without requests costs: the queries and bytes of its monitoring.
    Idle(idle::Options),
    /// How many connections many workers have, and what is refused.
    Limits(limits::Options),
    /// The same pages served by each contender: requests, latencies, CPU time, memory, connections.
    Load(load::Options),
    /// What more users, more regions and a start cost.
    Scale(scale::Options),
    /// How quick reads are while one of a hundred is slow.
    Slow(slow::Options),
    /// Whether an instance grows under visitors for half an hour, with two faults.
    Soak(soak::Options),
    /// What it costs that a read also proves how fresh its replica is.
    Verify(verify::Options),
    /// Serve as a contender; the other commands start it.
    #[command(hide = true)]
    Serve {
        /// The contender to serve as.
        contender: Contender,
    },
    /// Serve as an instance of `scale`.
    #[command(hide = true)]
    ServeRegions {
        /// How many regions it has.
        regions: scale::Regions,
    },
    /// Serve as a contender of `slow`.
    #[command(hide = true)]
    ServeSlow {
        /// The contender to serve as.
        contender: Contender,
    },
}

/// Why a command failed.
type Failed = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Count(options) => count::run(&options).await,
        Command::Faults(options) => faults::run(&options).await,
        Command::Idle(options) => idle::run(&options).await,
        Command::Limits(options) => limits::run(&options).await,
        Command::Load(options) => load::run(&options).await,
        Command::Scale(options) => scale::run(&options).await,
        Command::Slow(options) => slow::run(&options).await,
        Command::Soak(options) => soak::run(&options).await,
        Command::Verify(options) => verify::run(&options).await,
        Command::Serve { contender } => contender.serve().await,
        Command::ServeRegions { regions } => scale::serve(regions).await,
        Command::ServeSlow { contender } => slow::serve(contender).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
