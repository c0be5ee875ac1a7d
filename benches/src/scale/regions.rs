//! More regions: an instance with forty regions beside one with two.

mod servers;

use archipelago_measure::{Column, FigureTable, Figures, milliseconds};
use clap::ValueEnum;

pub use self::servers::serve;
use super::first_answer::{first_answer, get};
use super::{CONNECTIONS, FEW_USERS, Options, WARM_UP};
use crate::Failed;
use crate::cost::memory_mib;
use crate::databases::Databases;
use crate::turn::wrong_answers;
use crate::wrk::{Load, Visitors};

/// How many regions an instance has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Regions {
    /// A primary and one replica.
    Few,
    /// The regions of benches/regions.toml.
    Many,
}

const COLUMNS: [Column; 9] = [
    Column::new("first_answer_ms", "FIRST ANSWER ms", 1),
    Column::new("started_memory_mib", "MEMORY MiB", 1),
    Column::new("requests_per_second", "REQ/S", 0),
    Column::new("connections_to_the_primary", "TO PRIMARY", 0),
    Column::new("connections_to_the_replica", "TO REPLICA", 0),
    Column::new("idle_connections", "THEN IDLE", 0),
    Column::new("loaded_memory_mib", "MEMORY MiB", 1),
    Column::new("connections_to_all_regions", "TO ALL", 0),
    Column::new("all_regions_memory_mib", "MEMORY MiB", 1),
];

/// A number for each of [`COLUMNS`].
type Row = Figures<{ COLUMNS.len() }>;

/// Measures few regions and many in turn.
///
/// # Errors
/// When an instance does not start, or an answer was wrong.
pub async fn measure(databases: &Databases, options: &Options) -> Result<String, Failed> {
    let Options { rounds, seconds, .. } = *options;
    let mut measured: Vec<(Regions, Vec<Row>)> =
        Regions::value_variants().iter().map(|regions| (*regions, Vec::new())).collect();
    for round in 0..rounds {
        for (regions, turns) in &mut measured {
            eprintln!("round {} of {rounds}: {} regions", round + 1, regions.count());
            turns.push(turn(databases, *regions, seconds).await?);
        }
    }
    let rows = measured.into_iter().map(|(regions, turns)| (regions.count(), turns));
    Ok(format!(
        "An instance with this number of regions, of which all but one share the primary's server.\n\
         First the time from before its process exists to its first answer, and its memory then; \
         under load of GET /users/{{id}} ({seconds} s, wrk\nwith {CONNECTIONS} connections) its \
         connections to both servers, afterwards the idle ones and the memory; at the end both \
         when each region\nhas had a query. Medians of {rounds} rounds.\n{}",
        table(rows)
    ))
}

#[expect(clippy::cast_precision_loss, reason = "no server has 2^53 connections")]
async fn turn(databases: &Databases, regions: Regions, seconds: u64) -> Result<Row, Failed> {
    let Databases { primary, replica, .. } = databases;
    // Otherwise the connections of the previous instance, which end, would delay the start.
    tokio::try_join!(primary.wait_until_unused(), replica.wait_until_unused())?;
    let name = regions.to_possible_value().ok_or("no such regions")?;
    let arguments = ["serve-regions", name.get_name()];
    let (running, first) = first_answer(&arguments, &databases.vars()?, "/users/7").await?;
    let started = memory_mib(running.pid)?;
    let load = Load {
        script: "user",
        seconds,
        connections: CONNECTIONS,
        users: FEW_USERS,
        visitors: Visitors::default(),
    };
    let url = running.url("");
    Load { seconds: WARM_UP, ..load }.run(&url, &[]).await?;
    let (answers, [to_primary, to_replica]) =
        tokio::try_join!(load.run(&url, &[]), databases.connections_after(load.half()))?;
    if let Some(problem) = answers.problem() {
        return Err(wrong_answers(&format!("{} regions", regions.count()), &problem));
    }
    let idle = primary.idle_connections().await? + replica.idle_connections().await?;
    let loaded = memory_mib(running.pid)?;
    get(running.address, "/everywhere").await?;
    let all = primary.connections().await? + replica.connections().await?;
    let all_regions = memory_mib(running.pid)?;
    running.stop().await?;
    Ok(Figures([
        milliseconds(first),
        started,
        answers.per_second(),
        to_primary,
        to_replica,
        idle as f64,
        loaded,
        all as f64,
        all_regions,
    ]))
}

fn table(rows: impl Iterator<Item = (usize, Vec<Row>)>) -> String {
    let mut table = FigureTable::new(&["REGIONS"], 0, &COLUMNS);
    for (regions, turns) in rows {
        if let Some(median) = Figures::median(&turns) {
            table.add([regions.to_string()], &median);
        }
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn each_number_of_regions_has_the_medians_of_its_turns() {
        let turn = |first| Figures([first, 11.94, 30_000.4, 3.0, 2.0, 5.0, 14.0, 44.0, 16.26]);
        expect![[r#"
            REGIONS  FIRST ANSWER ms  MEMORY MiB  REQ/S  TO PRIMARY  TO REPLICA  THEN IDLE  MEMORY MiB  TO ALL  MEMORY MiB
                  2             40.0        11.9  30000           3           2          5        14.0      44        16.3
                 40             41.0        11.9  30000           3           2          5        14.0      44        16.3
        "#]].assert_eq(&table([(2, vec![turn(30.0), turn(50.26), turn(40.04)]), (40, vec![turn(41.0)])].into_iter()));
    }

    #[test]
    fn many_are_forty() {
        assert_eq!(
            Regions::value_variants().iter().map(|regions| regions.count()).collect::<Vec<_>>(),
            [2, 40]
        );
    }
}
