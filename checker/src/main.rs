//! The command `archipelago-checker`: one run, or as many as fit in the given time.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use archipelago::Safeguard;
use archipelago_checker::BoxError;
use archipelago_checker::report::Report;
use archipelago_checker::run::RunPlan;
use clap::{Parser, ValueEnum};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Sends requests to the app while faults hit its servers, and checks that every promise is kept.
#[derive(Debug, Parser)]
#[command(name = "archipelago-checker")]
struct Cli {
    /// Start further runs until this many minutes have passed; without it there is one run.
    #[arg(long)]
    minutes: Option<u64>,
    /// Seed of the first run; each further run has the next number. Without it each seed is random.
    #[arg(long)]
    seed: Option<u64>,
    /// Steps of faults in a run; 21 include every kind of fault.
    #[arg(long, default_value_t = 21)]
    steps: usize,
    /// Concurrent clients.
    #[arg(long, alias = "visitors", default_value_t = 20)]
    clients: u32,
    /// Switch safeguards off, to see that the checker finds what they prevent.
    #[arg(long, value_name = "SAFEGUARD")]
    without: Vec<SafeguardArg>,
    /// Write each run's faults and operations, in the order of their start, to this directory.
    #[arg(long, value_name = "DIRECTORY")]
    histories: Option<PathBuf>,
    /// Write the report as JSON to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// The names of Archipelago's safeguards on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum SafeguardArg {
    /// Clients carry a position.
    Cookie,
    /// Positions are compared only within a timeline.
    Timeline,
    /// A write's position is taken after its commit.
    AfterCommit,
    /// A replica that lags more than `max_lag` serves no reads.
    MaxLag,
    /// Replicas and old primaries are not used as a primary.
    Role,
    /// A primary without a proven promotion does not win from one with it.
    Evidence,
    /// What a replica has shown ends behind the record that it may be replaying.
    Bound,
    /// What an election finds unfit serves no reads.
    Fitness,
    /// A commit that seems to lie in the future tells no age.
    Clock,
}

impl From<SafeguardArg> for Safeguard {
    fn from(arg: SafeguardArg) -> Self {
        match arg {
            SafeguardArg::Cookie => Self::Cookie,
            SafeguardArg::Timeline => Self::Timeline,
            SafeguardArg::AfterCommit => Self::AfterCommit,
            SafeguardArg::MaxLag => Self::MaxLag,
            SafeguardArg::Role => Self::Role,
            SafeguardArg::Evidence => Self::Evidence,
            SafeguardArg::Bound => Self::Bound,
            SafeguardArg::Fitness => Self::Fitness,
            SafeguardArg::Clock => Self::Clock,
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    // Without RUST_LOG the app's instances log nothing.
    let filter =
        EnvFilter::builder().with_default_directive(LevelFilter::OFF.into()).from_env_lossy();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match Cli::parse().run().await {
        Ok(report) if report.violations.is_empty() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Cli {
    async fn run(&self) -> Result<Report, BoxError> {
        let (began, mut report) = (Instant::now(), Report::default());
        let limit = Duration::from_secs(60 * self.minutes.unwrap_or(0));
        for number in 0.. {
            let seed = self.seed.map_or_else(|| fastrand::u32(..).into(), |first| first + number);
            if let Err(error) = self.run_once(seed, &mut report).await {
                // If the first run fails, so would all others.
                if report.runs == 0 {
                    return Err(error);
                }
                println!("     void run: {error}\n");
                report.void += 1;
            }
            if began.elapsed() >= limit {
                break;
            }
        }
        print!("\n{}", report.text());
        if let Some(file) = &self.json {
            std::fs::write(file, serde_json::to_string_pretty(&report)? + "\n")?;
        }
        Ok(report)
    }

    async fn run_once(&self, seed: u64, report: &mut Report) -> Result<(), BoxError> {
        let mut plan = RunPlan::random(seed, self.steps, self.clients);
        plan.config.disabled = self.without.iter().copied().map(Safeguard::from).collect();
        println!("seed {seed}; replay: {}{}", plan.replay_command(), self.without_argument());
        print!("{}", plan.schedule);
        let run = plan.execute().await?;
        report.add(seed, &run);
        if let Some(directory) = &self.histories {
            std::fs::create_dir_all(directory)?;
            std::fs::write(directory.join(format!("{seed}.txt")), run.history.to_string())?;
        }
        println!(
            "     {} operations, {} violations",
            run.history.operations.len(),
            run.analysis.violations.len()
        );
        for (fault, why) in &run.skipped {
            println!("     skipped: {fault}: {why}");
        }
        print!("{}", run.violations());
        Ok(())
    }

    fn without_argument(&self) -> String {
        let values = self.without.iter().filter_map(ValueEnum::to_possible_value);
        values.fold(String::new(), |text, value| text + " --without " + value.get_name())
    }
}
