//! The program `archipelago`: runs the command of its arguments, and prints why it failed.

use std::process::ExitCode;

use archipelago_app::cli::Cli;
use clap::Parser;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
