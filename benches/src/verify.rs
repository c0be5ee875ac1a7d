//! `verify`: what it costs that a read proves its freshness in the same round trip.
//!
//! Measures reads per second and latencies of the default read, of one that accepts any age, and of
//! a plain bb8 pool: beside the replica and over a long distance.
//!
//! `cargo run --release -p archipelago-benches -- verify`

use std::env::VarError;
use std::fmt;
use std::time::Duration;

use archipelago::{Freshness, Settings};
use archipelago_app::reads::user_query;
use archipelago_app::repos::Repos;
use archipelago_app::users::User;
use archipelago_lab::Distances;
use archipelago_measure::{Column, FigureTable, Figures, Outcome, Plan, milliseconds};
use clap::Args;
use diesel::OptionalExtension;
use diesel_async::pooled_connection::bb8::Pool;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::Failed;
use crate::contenders::{hand_written, replica_region, replica_url};
use crate::databases::Databases;

/// How to measure.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// How many turns each kind of read has.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long each turn is measured, in seconds.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// The round trip over the long distance, in milliseconds.
    #[arg(long, default_value_t = 100)]
    line: u64,
}

const USERS: u32 = 1000;

/// Opening a connection takes eight round trips, over the long distance too.
const WARM_UP: Duration = Duration::from_secs(1);

/// A place at the long distance from the replica.
const FAR_AWAY: &str = "away";

/// The kind of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    /// From bb8, as in the hand-written program: only the row.
    PlainPool,
    /// By Archipelago, of any age.
    Any,
    /// By Archipelago, with its default freshness.
    Default,
}

const ALL: [Read; 3] = [Read::PlainPool, Read::Any, Read::Default];

const COLUMNS: [Column; 4] = [
    Column::new("reads_per_second", "READS/S", 0),
    Column::new("p50_ms", "P50 ms", 3),
    Column::new("p99_ms", "P99 ms", 3),
    Column::new("ratio", "READS/S ×", 2),
];

/// Measures, and prints the report.
///
/// # Errors
/// When something does not start, or a read fails.
pub async fn run(options: &Options) -> Result<(), Failed> {
    let distances = Distances::default().with_round_trip(
        replica_region(),
        FAR_AWAY,
        Duration::from_millis(options.line),
    );
    let databases = Databases::start(distances, USERS).await?;
    let outcome = measure(&databases, options).await;
    databases.stop().await?;
    outcome
}

async fn measure(databases: &Databases, options: &Options) -> Result<(), Failed> {
    let Options { rounds, seconds, line } = *options;
    println!("{}\n", databases.description().await?);
    println!(
        "One user by id from the replica, read by one thread: medians of {rounds} rounds of {seconds} s. \
         The round trip from far away takes {line} ms.\n"
    );
    // Far away, many reads at a time would only measure how many connections a pool has.
    let setups = [
        ("at home", replica_region(), 1),
        ("at home", replica_region(), 64),
        ("far away", FAR_AWAY, 1),
    ];
    let rows = setups.into_iter().flat_map(|setup| ALL.map(|read| (setup, read)));
    let mut rows: Vec<_> = rows
        .map(|((where_from, place, parallel), read)| {
            (format!("{read}, {where_from}, {parallel} at a time"), place, parallel, read, vec![])
        })
        .collect();
    for round in 0..rounds {
        for (name, place, parallel, read, rounds_of) in &mut rows {
            eprintln!("round {} of {rounds}: {name}", round + 1);
            let plan = Plan {
                warm_up: WARM_UP,
                time: Duration::from_secs(seconds),
                parallel: *parallel,
                rate: None,
            };
            rounds_of.push(figures(&turn(&databases.vars_from(place)?, plan, *read).await?)?);
        }
    }
    let medians =
        rows.into_iter().filter_map(|(name, .., rounds)| Some((name, Figures::median(&rounds)?)));
    print!("{}", table(medians));
    Ok(())
}

async fn turn(vars: &[(String, String)], plan: Plan, read: Read) -> Result<Outcome, Failed> {
    let var =
        |wanted: &str| vars.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
    if read == Read::PlainPool {
        let pool = hand_written::pool(&var(&replica_url()).ok_or("no URL of the replica")?);
        return Ok(plan
            .measure(std::future::pending(), async || read_from_pool(&pool).await)
            .await?);
    }
    let settings = Settings::from_vars::<Repos>(|name| var(name).ok_or(VarError::NotPresent));
    let repos = Repos::new(&settings?)?;
    let handle =
        || if read == Read::Any { repos.replica().fresh(Freshness::Any) } else { repos.replica() };
    let operation = async || {
        handle().optional::<User>(user_query(7)).await.map(|user| usize::from(user.is_some()))
    };
    let outcome = plan.measure(std::future::pending(), operation).await;
    repos.shutdown().await;
    Ok(outcome?)
}

async fn read_from_pool(pool: &Pool<AsyncPgConnection>) -> Result<usize, Failed> {
    let mut connection = pool.get().await?;
    let user: Option<User> = user_query(7).get_result(&mut connection).await.optional()?;
    Ok(usize::from(user.is_some()))
}

fn figures(outcome: &Outcome) -> Result<Figures<3>, Failed> {
    if let Some(error) = &outcome.last_error {
        return Err(format!("nothing is compared, because a read failed: {error}").into());
    }
    let [p50, p99] =
        [50.0, 99.0].map(|percent| outcome.percentile(percent).map_or(f64::NAN, milliseconds));
    Ok(Figures([outcome.per_second().unwrap_or_default(), p50, p99]))
}

/// The plain pool, which is the first of each setup, is the yardstick of the other reads.
fn table(rows: impl Iterator<Item = (String, Figures<3>)>) -> String {
    let mut table = FigureTable::new(&[""], 1, &COLUMNS);
    let mut yardstick = f64::NAN;
    for (index, (name, Figures([reads, p50, p99]))) in rows.enumerate() {
        if index % ALL.len() == 0 {
            yardstick = reads;
        }
        table.add([name], &Figures([reads, p50, p99, reads / yardstick]));
    }
    table.text()
}

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PlainPool => "plain pool",
            Self::Any => "any age",
            Self::Default => "default",
        })
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn ratios_are_to_the_plain_pool_of_the_same_setup() {
        let rows = [
            ("plain pool", [1000.0, 1.0, 2.0]),
            ("any age", [900.0, 1.1, 2.0]),
            ("default", [800.0, 1.25, 2.5]),
        ];
        expect![[r#"
                        READS/S  P50 ms  P99 ms  READS/S ×
            plain pool     1000   1.000   2.000       1.00
            any age         900   1.100   2.000       0.90
            default         800   1.250   2.500       0.80
        "#]]
        .assert_eq(&table(
            rows.into_iter().map(|(name, figures)| (name.to_owned(), Figures(figures))),
        ));
    }
}
