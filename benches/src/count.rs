//! `count`: how many instructions of its own a contender needs for a request, as callgrind counts
//! them. A count says more than a time: it is nearly the same on a busy machine.
//!
//! The contender runs under `valgrind`, with visitors that keep cookies. What it does without requests
//! is counted too, and left out. Kernel and PostgreSQL are not counted.
//!
//! - `cargo run --release -p archipelago-benches -- count` compares the contenders.
//! - `cargo run -p archipelago-benches -- count --check` compares the app, unoptimized and with one
//!   visitor, with `benches/instructions.toml`.

mod callgrind;
mod figures;
mod visitors;

use std::path::PathBuf;

use archipelago_lab::Distances;
use archipelago_measure::{Column, FigureTable, Figures};
use clap::{Args, ValueEnum};
use tokio::time::{Instant, sleep};

use self::callgrind::Counted;
use self::figures::Committed;
use self::visitors::Visitors;
use crate::Failed;
use crate::browser::{Page, USERS};
use crate::contenders::Contender;
use crate::databases::Databases;

/// How to count.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The requests of which the mean is taken.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    requests: u32,
    /// Visitors, each with a connection, a cookie jar and one request at a time.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    visitors: u32,
    /// Only these contenders.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Contender::HandWritten, Contender::Raw, Contender::Archipelago])]
    contenders: Vec<Contender>,
    /// Only these pages.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Page::value_variants().to_vec())]
    only: Vec<Page>,
    /// Compare the app of this build with the figures of `benches/instructions.toml`.
    #[arg(long, conflicts_with_all = ["requests", "visitors", "contenders", "only"])]
    check: bool,
    /// Keep callgrind's files in this folder, for `callgrind_annotate`.
    #[arg(long, value_name = "FOLDER")]
    profiles: Option<PathBuf>,
}

/// How often a page is counted that differs from its figure.
const ATTEMPTS: u32 = 3;

const COLUMNS: [Column; 1] = [Column::new("instructions", "INSTRUCTIONS", 0)];

/// Counts, and prints the report.
///
/// # Errors
/// When valgrind is not installed, something does not start, or an answer was wrong.
pub async fn run(options: &Options) -> Result<(), Failed> {
    let databases = Databases::start(Distances::default(), USERS).await?;
    let outcome = count_all(&databases, options).await;
    databases.stop().await?;
    outcome
}

async fn count_all(databases: &Databases, options: &Options) -> Result<(), Failed> {
    if options.check {
        return check(databases, options).await;
    }
    let mut table = FigureTable::new(&["PAGE", "CONTENDER"], 2, &COLUMNS);
    for page in &options.only {
        for contender in &options.contenders {
            eprintln!("{}, {}", page.name(), contender.name());
            let instructions = count(databases, options, *page, *contender).await?;
            let row = [page.name().to_owned(), contender.name().to_owned()];
            table.add(row, &Figures([instructions]));
        }
    }
    print!("{}", table.text());
    Ok(())
}

/// Compares the app with the committed figures.
async fn check(databases: &Databases, options: &Options) -> Result<(), Failed> {
    let committed = Committed::read()?;
    let mut differences = Vec::new();
    for page in Page::value_variants() {
        // The page of the list costs five times as much.
        let requests = if *page == Page::List { 100 } else { 300 };
        let options = Options { requests, visitors: 1, ..options.clone() };
        let mut difference = None;
        // What the instance does besides is a part of a count: on a busy machine more of it.
        for _ in 0..ATTEMPTS {
            let counted = count(databases, &options, *page, Contender::Archipelago).await?;
            println!("{} {counted:.0}", page.name());
            difference = committed.difference(*page, counted);
            if difference.is_none() {
                break;
            }
        }
        differences.extend(difference);
    }
    if differences.is_empty() { Ok(()) } else { Err(differences.join("\n").into()) }
}

/// The instructions of one request.
async fn count(
    databases: &Databases,
    options: &Options,
    page: Page,
    contender: Contender,
) -> Result<f64, Failed> {
    let profile = format!("{}-{}", page.name(), contender.name());
    let mut vars = databases.vars()?;
    vars.push(("RUST_LOG".to_owned(), "error".to_owned()));
    let mut counted = Counted::start(contender, &vars, &profile).await?;
    let visitors = Visitors::new(options.visitors, &counted.address())?;
    // Valgrind translates the program on its first way through it: too slowly for many at a time, and on a
    // busy machine too slowly for the deadline of the first head.
    if visitors.request(page, 1).await.is_err() {
        visitors.request(page, 1).await?;
    }
    // Connections are open and statements prepared after that.
    visitors.request(page, options.requests / 4 + options.visitors).await?;
    counted.dump().await?;
    let begun = Instant::now();
    visitors.request(page, options.requests).await?;
    let took = begun.elapsed();
    let busy = counted.dump().await?;
    sleep(took).await;
    let idle = counted.dump().await?;
    if let Some(folder) = &options.profiles {
        std::fs::create_dir_all(folder)?;
        std::fs::copy(&busy.file, folder.join(profile))?;
    }
    counted.stop().await?;
    databases.catch_up().await?;
    Ok((busy.instructions - idle.instructions) / f64::from(options.requests))
}
