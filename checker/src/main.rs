//! The checker as a command: rounds of visitors and faults, for as long as one likes.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use archipelago::Protection;
use archipelago_checker::Failed;
use archipelago_checker::check::MARGIN;
use archipelago_checker::client::Manner;
use archipelago_checker::deployment::{Rules, regions};
use archipelago_checker::nemesis::schedule::Schedule;
use archipelago_checker::report::Report;
use archipelago_checker::run::{MAX_LAG, Plan};
use clap::{Parser, ValueEnum};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Lets visitors read and write while the world breaks, and checks that every promise was kept.
#[derive(Debug, Parser)]
#[command(name = "archipelago-checker")]
struct Cli {
    /// Rounds are played until so many minutes are over; without this, one is played.
    #[arg(long)]
    minutes: Option<u64>,
    /// Of the first round; each further one has the next number. Without this, any.
    #[arg(long)]
    seed: Option<u64>,
    /// Faults in a round. In ten, each kind turns up.
    #[arg(long, default_value_t = 10)]
    steps: usize,
    /// How many visit at once.
    #[arg(long, default_value_t = 20)]
    visitors: u32,
    /// Switch a protection off, to see that it is missed.
    #[arg(long, value_name = "PROTECTION")]
    without: Option<Without>,
    /// Write every round's faults and operations, in the order in which they began, into this folder.
    #[arg(long, value_name = "FOLDER")]
    histories: Option<PathBuf>,
    /// Write the figures as JSON into this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Archipelago's protections, as they are named here.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Without {
    /// Visitors carry no position.
    Cookie,
    /// Positions are compared across timelines.
    Timeline,
    /// A write's position is taken ahead of it.
    AfterCommit,
    /// A replica may be behind as far as it likes.
    MaxLag,
    /// Nobody is asked what it is.
    Role,
}

impl From<Without> for Protection {
    fn from(without: Without) -> Self {
        match without {
            Without::Cookie => Self::Cookie,
            Without::Timeline => Self::Timeline,
            Without::AfterCommit => Self::AfterCommit,
            Without::MaxLag => Self::MaxLag,
            Without::Role => Self::Role,
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    // RUST_LOG shows what the instances have to say; without it, nothing.
    let filter =
        EnvFilter::builder().with_default_directive(LevelFilter::OFF.into()).from_env_lossy();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match Cli::parse().run().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Cli {
    /// Whether every promise was kept.
    async fn run(&self) -> Result<bool, Failed> {
        let (began, mut report) = (Instant::now(), Report::default());
        let first = self.seed.unwrap_or_else(|| fastrand::u32(..).into());
        for seed in first.. {
            if let Err(error) = self.round(seed, &mut report).await {
                // Where not even one round goes well, none will.
                if report.rounds == 0 {
                    return Err(format!("{error}; again: {}", self.again(seed)).into());
                }
                println!("     void: {error}; again: {}\n", self.again(seed));
                report.void += 1;
            }
            if self
                .minutes
                .is_none_or(|minutes| began.elapsed() >= Duration::from_secs(minutes * 60))
            {
                break;
            }
        }
        print!("\n{}", report.text());
        if let Some(file) = &self.json {
            std::fs::write(file, serde_json::to_string_pretty(&report)? + "\n")?;
        }
        Ok(report.violations.is_empty())
    }

    async fn round(&self, seed: u64, report: &mut Report) -> Result<(), Failed> {
        let schedule = Schedule::random(seed, self.steps, &regions());
        println!("seed {seed}\n{schedule}");
        let rules = Rules { max_lag: MAX_LAG, without: self.without.map(Protection::from) };
        let plan = Plan {
            seed,
            schedule,
            quiet: MARGIN,
            visitors: self.visitors,
            manner: Manner::Roaming,
            rules,
        };
        let round = plan.play().await?;
        report.add(seed, &round);
        if let Some(folder) = &self.histories {
            std::fs::create_dir_all(folder)?;
            std::fs::write(folder.join(format!("{seed}.txt")), round.history.to_string())?;
        }
        let violations = &round.verdict.violations;
        println!(
            "     {} operations, {} violations",
            round.history.operations.len(),
            violations.len()
        );
        print!("{}", round.violations());
        if !violations.is_empty() {
            println!("     this round alone: {}\n", self.again(seed));
        }
        Ok(())
    }

    fn again(&self, seed: u64) -> String {
        let Self { steps, visitors, .. } = self;
        let without = self.without.and_then(|without| without.to_possible_value());
        let without =
            without.map_or(String::new(), |without| format!(" --without {}", without.get_name()));
        format!(
            "cargo run --release -p archipelago-checker -- --seed {seed} --steps {steps} --visitors {visitors}{without}"
        )
    }
}
