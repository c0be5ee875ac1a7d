//! `slow`: the latency of quick reads while one of a hundred reads is slow.
//!
//! Compares pools, in which a slow read occupies a connection, with pipelined connections, on which
//! it holds up the reads behind it; each with and without Archipelago.
//!
//! `cargo run --release -p archipelago-benches -- slow`

mod servers;

use std::cell::Cell;
use std::time::Duration;

use archipelago_lab::Distances;
use archipelago_measure::{Column, FigureTable, Figures, Plan, milliseconds};
use clap::Args;

pub use self::servers::serve;
use crate::Failed;
use crate::child::Running;
use crate::contenders::Contender;
use crate::databases::Databases;
use crate::http;

/// Whose connections are compared. Axum's would be those of raw.
const SERVERS: [Contender; 4] = [
    Contender::HandWritten,
    Contender::Raw,
    Contender::Archipelago,
    Contender::ArchipelagoCheckout,
];

/// How to measure.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// How many turns each contender has.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long each turn is measured, in seconds.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Quick reads per second. One slow read is sent for each hundred quick ones.
    #[arg(long, value_delimiter = ',', default_value = "500,2000", value_parser = clap::value_parser!(u32).range(100..))]
    rates: Vec<u32>,
    /// Only these contenders.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = SERVERS, hide_default_value = true)]
    contenders: Vec<Contender>,
}

/// The number of clients. Each keeps its own connection, so that all workers of a server get some.
const CLIENTS: usize = 32;

/// The most quick requests, and the most slow ones, that wait for an answer at the same time.
const PARALLEL: u32 = 64;

const WARM_UP: Duration = Duration::from_secs(1);

/// The contender, the rate of quick reads, and how many slow reads there are for a hundred of them.
type Setup = (Contender, u32, u32);

/// Latencies are those of the quick reads, errors those of all reads, connections those to the
/// replica.
const COLUMNS: [Column; 6] = [
    Column::new("requests_per_second", "REQ/S", 0),
    Column::new("p50_ms", "P50 ms", 2),
    Column::new("p99_ms", "P99 ms", 2),
    Column::new("max_ms", "MAX ms", 1),
    Column::new("errors", "ERRORS", 0),
    Column::new("connections", "CONNECTIONS", 0),
];

/// A number for each of [`COLUMNS`].
type Row = Figures<{ COLUMNS.len() }>;

/// Measures, and prints the report.
///
/// # Errors
/// When something does not start.
pub async fn run(options: &Options) -> Result<(), Failed> {
    let databases = Databases::start(Distances::default(), 1000).await?;
    let outcome = measure(&databases, options).await;
    databases.stop().await?;
    outcome
}

async fn measure(databases: &Databases, options: &Options) -> Result<(), Failed> {
    println!("{}\n", databases.description().await?);
    println!(
        "One user by id is read at a steady rate, from a replica in which no read or one of a hundred \
         reads sleeps for 100 ms.\nMedians of {} rounds of {} s for the quick reads. A latency \
         counts from the moment when the request was due.\nThe client has {CLIENTS} connections, \
         and opens more when they are busy.\n",
        options.rounds, options.seconds
    );
    let mut measured: Vec<(Setup, Vec<Row>)> = Vec::new();
    for rate in &options.rates {
        for slow in [0, 1] {
            let setups =
                options.contenders.iter().map(|contender| ((*contender, *rate, slow), vec![]));
            measured.extend(setups);
        }
    }
    for round in 0..options.rounds {
        for (setup, rounds) in &mut measured {
            let (contender, rate, slow) = *setup;
            eprintln!(
                "round {} of {}: {}, {rate} per second, {slow} % slow",
                round + 1,
                options.rounds,
                contender.name(),
            );
            rounds.push(turn(databases, *setup, options.seconds).await?);
        }
    }
    print!("{}", table(&measured));
    Ok(())
}

async fn turn(
    databases: &Databases,
    (contender, rate, slow): Setup,
    seconds: u64,
) -> Result<Row, Failed> {
    let running = Running::start(&["serve-slow", contender.name()], &databases.vars()?).await?;
    let clients = (0..CLIENTS).map(|_| http::client().build()).collect::<Result<Vec<_>, _>>()?;
    let requests = Cell::new(0);
    let get = async |path: &str| {
        requests.update(|requests: usize| requests + 1);
        let answer = clients[requests.get() % CLIENTS]
            .get(running.url(path))
            .send()
            .await?
            .error_for_status()?;
        answer.bytes().await.map(|body| body.len())
    };
    let plan = Plan {
        warm_up: WARM_UP,
        time: Duration::from_secs(seconds),
        parallel: PARALLEL,
        rate: Some(rate),
    };
    let quick = plan.measure(std::future::pending(), async || get("/quick").await);
    let slow = async {
        if slow == 0 {
            return Ok(0);
        }
        let plan = Plan { rate: Some(rate * slow / 100), ..plan };
        plan.measure(std::future::pending(), async || get("/slow").await)
            .await
            .map(|slow| slow.errors)
    };
    let (quick, failed) = tokio::try_join!(quick, slow)?;
    let connections = databases.replica.connections().await?;
    running.stop().await?;
    #[expect(clippy::cast_precision_loss, reason = "a turn has fewer than 2^53 errors")]
    let (errors, connections) = ((quick.errors + failed) as f64, connections as f64);
    let [p50, p99, longest] =
        [50.0, 99.0, 100.0].map(|percent| quick.percentile(percent).map_or(f64::NAN, milliseconds));
    let per_second = quick.per_second().unwrap_or_default();
    Ok(Figures([per_second, p50, p99, longest, errors, connections]))
}

fn table(measured: &[(Setup, Vec<Row>)]) -> String {
    let mut table = FigureTable::new(&["CONTENDER", "RATE", "SLOW"], 1, &COLUMNS);
    for ((contender, rate, slow), rounds) in measured {
        if let Some(median) = Figures::median(rounds) {
            let labels = [contender.name().to_owned(), rate.to_string(), format!("{slow} %")];
            table.add(labels, &median);
        }
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn each_setup_has_the_medians_of_its_rounds() {
        let round = |p99| Figures([1999.6, 0.511, p99, 9.0, 0.0, 16.0]);
        let rows = [((Contender::HandWritten, 2000, 1), vec![round(7.0), round(1.25), round(2.5)])];
        expect![[r#"
            CONTENDER     RATE  SLOW  REQ/S  P50 ms  P99 ms  MAX ms  ERRORS  CONNECTIONS
            hand-written  2000   1 %   2000    0.51    2.50     9.0       0           16
        "#]]
        .assert_eq(&table(&rows));
    }
}
