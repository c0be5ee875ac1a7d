//! More regions: what an instance of forty holds that one of two does not.

mod servers;

use std::time::Duration;

use archipelago_app::plain_table::{plain_table, trimmed};
use clap::ValueEnum;

pub use self::servers::serve;
use super::first::{ask, first_answer};
use super::{CONNECTIONS, FEW_USERS, Options, WARM_UP};
use crate::Failed;
use crate::cost::memory;
use crate::databases::Databases;
use crate::figures::median;
use crate::wrk::Load;

/// How many regions an instance has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Regions {
    /// A primary and one replica.
    Few,
    /// Those of benches/regions.toml.
    Many,
}

/// Names of the columns, and digits behind the point.
const COLUMNS: [(&str, usize); 9] = [
    ("FIRST ANSWER ms", 1),
    ("MEMORY MiB", 1),
    ("REQ/S", 0),
    ("TO PRIMARY", 0),
    ("TO REPLICA", 0),
    ("IDLE AFTER", 0),
    ("MEMORY AFTER", 1),
    ("ALL ASKED", 0),
    ("MEMORY THEN", 1),
];

type Found = [f64; COLUMNS.len()];

/// Few regions and many in turn.
///
/// # Errors
/// When something does not start, or an answer was wrong.
pub async fn measure(databases: &Databases, options: &Options) -> Result<String, Failed> {
    let Options { rounds, seconds, .. } = *options;
    let mut rows: Vec<(Regions, Vec<Found>)> =
        Regions::value_variants().iter().map(|regions| (*regions, Vec::new())).collect();
    for round in 0..rounds {
        for (regions, found) in &mut rows {
            eprintln!("round {} of {rounds}: {} regions", round + 1, regions.count());
            found.push(turn(databases, *regions, seconds).await?);
        }
    }
    let table = table(rows.into_iter().map(|(regions, found)| (regions.count(), found)));
    Ok(format!(
        "An instance with so many regions. The time from before its process to its first answer, and the memory it has then; under \
         load\nof GET /users/{{id}} ({seconds} s, wrk with {CONNECTIONS} connections) the connections of all regions, where all but \
         one lead to the primary's\nserver; after it those that idle, and the memory; then both once every region was asked. Medians \
         of {rounds} rounds.\n{table}"
    ))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "no machine has 2^53 bytes, and no server 2^53 connections"
)]
async fn turn(databases: &Databases, regions: Regions, seconds: u64) -> Result<Found, Failed> {
    let Databases { primary, replica, .. } = databases;
    // Or the end of one instance's connections would delay the start of the next.
    tokio::try_join!(primary.left_alone(), replica.left_alone())?;
    let word = regions.to_possible_value().ok_or("no such regions")?;
    let (running, first) =
        first_answer(&["serve-regions", word.get_name()], &databases.vars()?, "/users/7").await?;
    let mebibytes = || Ok::<_, Failed>(memory(running.pid)? as f64 / f64::from(1 << 20));
    let ready = mebibytes()?;
    let load = Load { script: "user", seconds, connections: CONNECTIONS, users: FEW_USERS };
    let url = running.url("");
    Load { seconds: WARM_UP, ..load }.run(&url).await?;
    let in_the_middle = async {
        tokio::time::sleep(Duration::from_secs(seconds) / 2).await;
        Ok::<_, Failed>((primary.connections().await?, replica.connections().await?))
    };
    let (answers, (to_primary, to_replica)) = tokio::try_join!(load.run(&url), in_the_middle)?;
    if let Some(trouble) = answers.trouble() {
        return Err(format!(
            "nothing is compared, because answers were wrong: {} regions: {trouble}",
            regions.count()
        )
        .into());
    }
    let (idle, after) =
        (primary.idle_connections().await? + replica.idle_connections().await?, mebibytes()?);
    ask(running.address, "/everywhere").await?;
    let (all, then) = (primary.connections().await? + replica.connections().await?, mebibytes()?);
    running.stop().await?;
    let per_second = answers.per_second();
    Ok([
        first.as_secs_f64() * 1000.0,
        ready,
        per_second,
        to_primary as f64,
        to_replica as f64,
        idle as f64,
        after,
        all as f64,
        then,
    ])
}

fn table(rows: impl Iterator<Item = (usize, Vec<Found>)>) -> String {
    let mut header = ["REGIONS"; COLUMNS.len() + 1];
    header[1..].copy_from_slice(&COLUMNS.map(|(heading, _)| heading));
    let mut table = plain_table(header, 0);
    for (regions, found) in rows {
        let medians = COLUMNS.iter().enumerate().map(|(column, (_, digits))| {
            format!("{:.digits$}", median(found.iter().map(|found| found[column]).collect()))
        });
        table.add_row(std::iter::once(regions.to_string()).chain(medians));
    }
    trimmed(&table)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_row_for_each_with_the_medians_of_its_rounds() {
        let round = |first| [first, 11.94, 30_000.4, 3.0, 2.0, 5.0, 14.0, 44.0, 16.26];
        expect![[r#"
            REGIONS  FIRST ANSWER ms  MEMORY MiB  REQ/S  TO PRIMARY  TO REPLICA  IDLE AFTER  MEMORY AFTER  ALL ASKED  MEMORY THEN
                  2             40.0        11.9  30000           3           2           5          14.0         44         16.3
                 40             41.0        11.9  30000           3           2           5          14.0         44         16.3
        "#]]
        .assert_eq(&table([(2, vec![round(30.0), round(50.26), round(40.04)]), (40, vec![round(41.0)])].into_iter()));
    }

    #[test]
    fn many_are_forty() {
        assert_eq!(
            Regions::value_variants().iter().map(|regions| regions.count()).collect::<Vec<_>>(),
            [2, 40]
        );
    }
}
