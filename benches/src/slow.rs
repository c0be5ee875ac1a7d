//! `slow`: how quick reads are while one of a hundred is slow, by how they reach a connection.

mod servers;

use std::cell::Cell;
use std::collections::HashMap;
use std::time::Duration;

use archipelago_app::plain_table::{plain_table, trimmed};
use archipelago_lab::Distances;
use archipelago_measure::Plan;
use clap::{Args, ValueEnum};
use reqwest::Client;

pub use self::servers::serve;
use crate::Failed;
use crate::child::Running;
use crate::contenders::Contender;
use crate::databases::Databases;
use crate::figures::median;

/// How to measure.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// How often everybody has a turn.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// For how long each turn is measured, in seconds.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Quick reads per second. For each hundred of them comes a slow one.
    #[arg(long, value_delimiter = ',', default_value = "500,2000", value_parser = clap::value_parser!(u32).range(100..))]
    rates: Vec<u32>,
    /// Only these contenders.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Contender::value_variants().to_vec(), hide_default_value = true)]
    contenders: Vec<Contender>,
}

/// Clients, each with a connection that it keeps, so that all workers of a server have some.
const CLIENTS: usize = 32;

/// Requests that may wait for an answer at the same time, of each kind.
const PARALLEL: u32 = 64;

const WARM_UP: Duration = Duration::from_secs(1);

/// Who, at which rate, and how many of a hundred are slow.
type Row = (Contender, u32, u32);

/// What the quick reads of a turn found: per second; median, 99th percentile and longest in milliseconds. Errors of
/// both kinds; connections to the replica.
type Found = [f64; 6];

/// Measures, and prints.
///
/// # Errors
/// When something does not start.
pub async fn run(options: &Options) -> Result<(), Failed> {
    let databases = Databases::start(Distances::default(), 1000).await?;
    let outcome = on(&databases, options).await;
    databases.stop().await?;
    outcome
}

async fn on(databases: &Databases, options: &Options) -> Result<(), Failed> {
    println!("{}\n", databases.description().await?);
    println!(
        "One user by id, at a steady rate, while for each hundred of them comes no slow read, or one, which sleeps for 100 ms in"
    );
    println!(
        "the same replica. Of the quick ones: medians of {} rounds of {} s. A latency counts from the moment",
        options.rounds, options.seconds
    );
    println!(
        "when the request was due. {CLIENTS} connections of the client, and more where they are busy.\n"
    );
    let mut rows: Vec<Row> = Vec::new();
    for rate in &options.rates {
        for slow in [0, 1] {
            rows.extend(options.contenders.iter().map(|contender| (*contender, *rate, slow)));
        }
    }
    let mut found: HashMap<usize, Vec<Found>> = HashMap::new();
    for round in 0..options.rounds {
        for (place, row) in rows.iter().enumerate() {
            eprintln!(
                "round {} of {}: {}, {} per second, {} % slow",
                round + 1,
                options.rounds,
                row.0.name(),
                row.1,
                row.2
            );
            found.entry(place).or_default().push(turn(databases, *row, options.seconds).await?);
        }
    }
    print!(
        "{}",
        table(
            rows.iter()
                .enumerate()
                .map(|(place, row)| (*row, found.remove(&place).unwrap_or_default()))
        )
    );
    Ok(())
}

async fn turn(
    databases: &Databases,
    (contender, rate, slow): Row,
    seconds: u64,
) -> Result<Found, Failed> {
    let running = Running::start(&["serve-slow", contender.name()], &databases.vars()?).await?;
    // A crate beside this one makes reqwest want TLS. A provider that is there already will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let clients = (0..CLIENTS).map(|_| Client::builder().build()).collect::<Result<Vec<_>, _>>()?;
    let turns = Cell::new(0);
    let ask = async |path: &str| {
        turns.update(|turns: usize| turns + 1);
        let answer = clients[turns.get() % CLIENTS]
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
    let quick = plan.measure(std::future::pending(), async || ask("/quick").await);
    let slow = async {
        if slow == 0 {
            return Ok(0);
        }
        let plan = Plan { rate: Some(rate * slow / 100), ..plan };
        plan.measure(std::future::pending(), async || ask("/slow").await)
            .await
            .map(|slow| slow.errors)
    };
    let (quick, failed) = tokio::try_join!(quick, slow)?;
    let connections = databases.replica.connections().await?;
    running.stop().await?;
    let milliseconds =
        |time: Option<Duration>| time.map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0);
    #[expect(clippy::cast_precision_loss, reason = "nobody waits for 2^53 errors")]
    let (errors, connections) = ((quick.errors + failed) as f64, connections as f64);
    let [p50, p99, longest] =
        [50.0, 99.0, 100.0].map(|percent| milliseconds(quick.percentile(percent)));
    Ok([quick.per_second().unwrap_or_default(), p50, p99, longest, errors, connections])
}

fn table(rows: impl Iterator<Item = (Row, Vec<Found>)>) -> String {
    let header = [
        "CONTENDER",
        "RATE",
        "SLOW",
        "REQ/S",
        "P50 ms",
        "P99 ms",
        "MAX ms",
        "ERRORS",
        "CONNECTIONS",
    ];
    let mut table = plain_table(header, 1);
    for ((contender, rate, slow), turns) in rows {
        let middle = |column: usize, digits: usize| {
            format!("{:.digits$}", median(turns.iter().map(|found| found[column]).collect()))
        };
        let given = [contender.name().to_owned(), rate.to_string(), format!("{slow} %")];
        table.add_row(given.into_iter().chain([
            middle(0, 0),
            middle(1, 2),
            middle(2, 2),
            middle(3, 1),
            middle(4, 0),
            middle(5, 0),
        ]));
    }
    trimmed(&table)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_row_for_each_with_the_medians_of_its_rounds() {
        let round = |p99| [1999.6, 0.511, p99, 9.0, 0.0, 16.0];
        let rows = [((Contender::HandWritten, 2000, 1), vec![round(7.0), round(1.25), round(2.5)])];
        expect![[r#"
            CONTENDER     RATE  SLOW  REQ/S  P50 ms  P99 ms  MAX ms  ERRORS  CONNECTIONS
            hand-written  2000   1 %   2000    0.51    2.50     9.0       0           16
        "#]]
        .assert_eq(&table(rows.into_iter()));
    }
}
