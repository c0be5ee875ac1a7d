//! `load --against BINARY`: the app of this build and the app of another build, in interleaved
//! pairs of turns.
//!
//! Both apps use the same databases. The one that goes first alternates from pair to pair, so a
//! machine that becomes slower during the run slows both alike. The ratio of each pair is this
//! build's figure divided by the other build's.

use std::path::Path;

use archipelago_measure::{FigureTable, files};
use serde_json::json;

use super::options::{Options, Workload};
use crate::Failed;
use crate::child::Running;
use crate::contenders::Contender;
use crate::databases::Databases;
use crate::turn::{COLUMNS, Costs, turn};

/// One turn of each build, one right after the other.
#[derive(Clone, Copy, Debug)]
struct Pair {
    this_build: Costs,
    other_build: Costs,
}

/// Measures as many pairs for each workload as there are rounds, and prints them.
///
/// # Errors
/// When a program does not start, or an answer was wrong.
pub async fn run(databases: &Databases, options: &Options, other: &Path) -> Result<(), Failed> {
    let this = std::env::current_exe()?;
    let mut measured: Vec<(Workload, Vec<Pair>)> =
        options.only.iter().map(|workload| (*workload, Vec::new())).collect();
    for pair in 0..options.rounds {
        for (workload, pairs) in &mut measured {
            eprintln!("pair {} of {}: {}", pair + 1, options.rounds, workload.name());
            let measure = async |binary| one_turn(databases, options, *workload, binary).await;
            let (this_build, other_build);
            if pair % 2 == 0 {
                this_build = measure(&this).await?;
                other_build = measure(other).await?;
            } else {
                other_build = measure(other).await?;
                this_build = measure(&this).await?;
            }
            pairs.push(Pair { this_build, other_build });
        }
    }
    if let Some(file) = &options.json {
        files::write(file, &json(&measured)?)?;
    }
    for (workload, pairs) in &measured {
        println!("{}: {}\n{}", workload.name(), workload.meaning(), table(pairs));
    }
    Ok(())
}

/// One turn of the contender `archipelago` of `binary`.
async fn one_turn(
    databases: &Databases,
    options: &Options,
    workload: Workload,
    binary: &Path,
) -> Result<Costs, Failed> {
    let arguments = Contender::Archipelago.arguments();
    let running = Running::start_binary(binary, &arguments, &databases.vars()?).await?;
    let turn = turn(running, databases, options.load(workload), options.warm_up).await?;
    turn.costs_if_right(&format!("{}, {}", binary.display(), workload.name()))
}

/// The medians of both builds, the ratio of each pair, and the median of these ratios.
fn table(pairs: &[Pair]) -> String {
    let mut table = FigureTable::new(&[""], 1, &COLUMNS);
    let this_build: Vec<_> = pairs.iter().map(|pair| pair.this_build).collect();
    let other_build: Vec<_> = pairs.iter().map(|pair| pair.other_build).collect();
    for (name, costs) in [("this build", this_build), ("the other", other_build)] {
        if let Some(median) = Costs::median(&costs) {
            table.add([name.to_owned()], &median);
        }
    }
    let ratios = ratios(pairs);
    for (number, ratio) in (1..).zip(&ratios) {
        table.add_ratio(format!("ratio of pair {number}"), ratio, 3);
    }
    if let Some(median) = Costs::median(&ratios) {
        table.add_ratio("median of the ratios".to_owned(), &median, 3);
    }
    table.text()
}

fn ratios(pairs: &[Pair]) -> Vec<Costs> {
    pairs.iter().map(|pair| pair.this_build.ratio(&pair.other_build)).collect()
}

/// All pairs with their ratios, and the medians of these ratios.
fn json(measured: &[(Workload, Vec<Pair>)]) -> serde_json::Result<String> {
    let workloads = measured.iter().map(|(workload, pairs)| {
        let ratios = ratios(pairs);
        let each = pairs.iter().zip(&ratios).map(|(pair, ratio)| {
            json!({
                "this_build": pair.this_build.json(&COLUMNS),
                "other_build": pair.other_build.json(&COLUMNS),
                "ratio": ratio.json(&COLUMNS),
            })
        });
        json!({
            "workload": workload.name(),
            "pairs": each.collect::<Vec<_>>(),
            "median_ratio": Costs::median(&ratios).map(|median| median.json(&COLUMNS)),
        })
    });
    Ok(serde_json::to_string_pretty(&workloads.collect::<Vec<_>>())? + "\n")
}

#[cfg(test)]
mod tests {
    use archipelago_measure::Figures;
    use expect_test::expect;

    use super::*;

    #[test]
    fn each_pair_has_its_ratio() {
        let costs = |rate| Figures([rate, 2.0, 9.0, 30.0, 20.0, 12.0, 0.0, 2.0]);
        let pairs = [(1010.0, 1000.0), (900.0, 1000.0), (1980.0, 2000.0)]
            .map(|(this, other)| Pair { this_build: costs(this), other_build: costs(other) });
        expect![[r#"
                                  REQ/S  P50 ms  P99 ms  APP CPU µs  PG CPU µs  MEMORY MiB  TO PRIMARY  TO REPLICA
            this build             1010    2.00    9.00        30.0       20.0        12.0           0           2
            the other              1000    2.00    9.00        30.0       20.0        12.0           0           2
            ratio of pair 1       1.010   1.000   1.000       1.000      1.000       1.000           -       1.000
            ratio of pair 2       0.900   1.000   1.000       1.000      1.000       1.000           -       1.000
            ratio of pair 3       0.990   1.000   1.000       1.000      1.000       1.000           -       1.000
            median of the ratios  0.990   1.000   1.000       1.000      1.000       1.000           -       1.000
        "#]]
        .assert_eq(&table(&pairs));
    }
}
