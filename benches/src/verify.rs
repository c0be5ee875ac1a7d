//! `verify`: what it costs that a read says how fresh it is, beside a read that does not care and one from a plain pool.

use std::env::VarError;
use std::fmt;
use std::time::Duration;

use archipelago::{Freshness, Settings};
use archipelago_app::plain_table::{plain_table, trimmed};
use archipelago_app::reads::user_query;
use archipelago_app::repos::Repos;
use archipelago_app::users::User;
use archipelago_lab::Distances;
use archipelago_measure::{Outcome, Plan};
use clap::Args;
use diesel::OptionalExtension;
use diesel_async::pooled_connection::bb8::Pool;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::Failed;
use crate::contenders::{hand_written, replica_region, replica_url};
use crate::databases::Databases;
use crate::figures::median;

/// How to measure.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// How often each has a turn.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// For how long, in seconds.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// The round trip of the long line, in milliseconds.
    #[arg(long, default_value_t = 100)]
    line: u64,
}

const USERS: u32 = 1000;

/// Opening a connection over the long line takes eight round trips.
const WARM_UP: Duration = Duration::from_secs(1);

/// Where no region is.
const AWAY: &str = "away";

/// Who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// bb8, as the hand-written program has it: the row, and nothing else.
    PlainPool,
    /// Archipelago, and any age will do.
    Any,
    /// Archipelago, as it reads without a word.
    Default,
}

const ALL: [By; 3] = [By::PlainPool, By::Any, By::Default];

/// Reads per second, their median and their 99th percentile in milliseconds.
type Found = [f64; 3];

/// Measures, and prints.
///
/// # Errors
/// When something does not start, or a read fails.
pub async fn run(options: &Options) -> Result<(), Failed> {
    let distances = Distances::default().with_round_trip(
        replica_region(),
        AWAY,
        Duration::from_millis(options.line),
    );
    let databases = Databases::start(distances, USERS).await?;
    let outcome = on(&databases, options).await;
    databases.stop().await?;
    outcome
}

async fn on(databases: &Databases, options: &Options) -> Result<(), Failed> {
    let Options { rounds, seconds, line } = *options;
    println!("{}\n", databases.description().await?);
    println!(
        "One user by id from the replica, by one thread: medians of {rounds} rounds of {seconds} s. Far away is {line} ms.\n"
    );
    // Over the long line a crowd would only show how many connections a pool has.
    let settings = [
        ("at home", replica_region(), 1),
        ("at home", replica_region(), 64),
        ("far away", AWAY, 1),
    ];
    let rows = settings.into_iter().flat_map(|setting| ALL.map(|by| (setting, by)));
    let mut rows: Vec<_> = rows
        .map(|((how, place, parallel), by)| {
            (format!("{by}, {how}, {parallel} at a time"), place, parallel, by, vec![])
        })
        .collect();
    for round in 0..rounds {
        for (name, place, parallel, by, found) in &mut rows {
            eprintln!("round {} of {rounds}: {name}", round + 1);
            let plan = Plan {
                warm_up: WARM_UP,
                time: Duration::from_secs(seconds),
                parallel: *parallel,
                rate: None,
            };
            found.push(figures(&turn(&databases.vars_from(place)?, plan, *by).await?)?);
        }
    }
    print!("{}", table(rows.into_iter().map(|(name, .., found)| (name, middle(&found)))));
    Ok(())
}

async fn turn(vars: &[(String, String)], plan: Plan, by: By) -> Result<Outcome, Failed> {
    let var =
        |wanted: &str| vars.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
    if by == By::PlainPool {
        let pool = hand_written::pool(&var(&replica_url()).ok_or("no URL of the replica")?);
        return Ok(plan.measure(std::future::pending(), async || plain(&pool).await).await?);
    }
    let settings = Settings::from_vars::<Repos>(|name| var(name).ok_or(VarError::NotPresent));
    let repos =
        Repos::new(&settings.map_err(|wrong| {
            wrong.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        })?)?;
    let reads =
        || if by == By::Any { repos.replica().fresh(Freshness::Any) } else { repos.replica() };
    let read = async || {
        reads().optional::<User>(user_query(7)).await.map(|user| usize::from(user.is_some()))
    };
    let outcome = plan.measure(std::future::pending(), read).await;
    repos.shutdown().await;
    Ok(outcome?)
}

async fn plain(pool: &Pool<AsyncPgConnection>) -> Result<usize, Failed> {
    let mut connection = pool.get().await?;
    let user: Option<User> = user_query(7).get_result(&mut connection).await.optional()?;
    Ok(usize::from(user.is_some()))
}

fn figures(outcome: &Outcome) -> Result<Found, Failed> {
    if let Some(error) = &outcome.last_error {
        return Err(format!("nothing is compared, because a read failed: {error}").into());
    }
    let [p50, p99] = [50.0, 99.0].map(|percent| {
        outcome.percentile(percent).map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
    });
    Ok([outcome.per_second().unwrap_or_default(), p50, p99])
}

fn middle(found: &[Found]) -> Found {
    std::array::from_fn(|column| median(found.iter().map(|found| found[column]).collect()))
}

/// Of each place and number the first is the yardstick of the others.
fn table(rows: impl Iterator<Item = (String, Found)>) -> String {
    let mut table = plain_table(["", "READS/S", "P50 ms", "P99 ms", "READS/S ×"], 1);
    let mut yardstick = f64::NAN;
    for (at, (name, found)) in rows.enumerate() {
        if at % ALL.len() == 0 {
            [yardstick, ..] = found;
        }
        let [reads, p50, p99] = found;
        table.add_row([
            name,
            format!("{reads:.0}"),
            format!("{p50:.3}"),
            format!("{p99:.3}"),
            format!("{:.2}", reads / yardstick),
        ]);
    }
    trimmed(&table)
}

impl fmt::Display for By {
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
    fn ratios_are_to_the_plain_pool_beside_it() {
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
        .assert_eq(&table(rows.into_iter().map(|(name, found)| (name.to_owned(), found))));
    }
}
