//! `load --against BINARY`: the app of this build and the app of another build, in interleaved pairs of turns.
//!
//! Both apps use the same databases. The one that goes first alternates from pair to pair, so a machine that becomes slower
//! during the run slows both alike. The ratio of each pair is this build's figure divided by the other build's.

use std::path::Path;

use serde_json::json;

use super::options::{Options, Workload};
use crate::Failed;
use crate::child::Running;
use crate::contenders::Contender;
use crate::databases::Databases;
use crate::figures::{Figures, with_ratios};
use crate::turn::turn;
use crate::wrk::Load;

/// One turn of each build, one right after the other.
#[derive(Clone, Copy, Debug)]
struct Pair {
    this_build: Figures,
    other_build: Figures,
}

/// Measures as many pairs per workload as there are rounds, and prints them.
///
/// # Errors
/// When a program does not start, or an answer was wrong: then nothing is compared.
pub async fn run(databases: &Databases, options: &Options, other: &Path) -> Result<(), Failed> {
    let this = std::env::current_exe()?;
    let mut measured: Vec<(Workload, Vec<Pair>)> =
        options.only.iter().map(|workload| (*workload, Vec::new())).collect();
    for pair in 0..options.rounds {
        for (workload, pairs) in &mut measured {
            eprintln!("pair {} of {}: {}", pair + 1, options.rounds, workload.name());
            let measure = async |binary| figures(databases, options, *workload, binary).await;
            let this_first = pair % 2 == 0;
            let (first, second) = if this_first { (&*this, other) } else { (other, &*this) };
            let (first, second) = (measure(first).await?, measure(second).await?);
            let (this_build, other_build) =
                if this_first { (first, second) } else { (second, first) };
            pairs.push(Pair { this_build, other_build });
        }
    }
    if let Some(file) = &options.json {
        std::fs::write(file, json(&measured)?)?;
    }
    for (workload, pairs) in &measured {
        println!("{}: {}\n{}", workload.name(), workload.meaning(), table(pairs));
    }
    Ok(())
}

/// One turn of the contender `archipelago` of `binary`.
async fn figures(
    databases: &Databases,
    options: &Options,
    workload: Workload,
    binary: &Path,
) -> Result<Figures, Failed> {
    let Options { seconds, connections, users, warm_up, .. } = *options;
    let load = Load { script: workload.name(), seconds, connections, users };
    let arguments = ["serve", Contender::Archipelago.name()];
    let running = Running::start_binary(binary, &arguments, &databases.vars()?).await?;
    let turn = turn(running, databases, load, warm_up).await?;
    match turn.trouble {
        None => Ok(turn.figures),
        Some(trouble) => Err(format!(
            "nothing is compared, because answers of {} were wrong: {}: {trouble}",
            binary.display(),
            workload.name()
        )
        .into()),
    }
}

/// The medians of both builds, the ratios of each pair, and the median of those ratios.
fn table(pairs: &[Pair]) -> String {
    let medians = [
        (
            "this build",
            Figures::median(&pairs.iter().map(|pair| pair.this_build).collect::<Vec<_>>()),
        ),
        (
            "the other",
            Figures::median(&pairs.iter().map(|pair| pair.other_build).collect::<Vec<_>>()),
        ),
    ];
    let figures = medians.into_iter().filter_map(|(name, median)| Some((name.to_owned(), median?)));
    let of_pairs = ratios_of(pairs);
    let median = Figures::median(&of_pairs).map(|ratio| ("median of the ratios".to_owned(), ratio));
    let ratio_rows =
        (1..).zip(of_pairs).map(|(pair, ratio)| (format!("ratio of pair {pair}"), ratio));
    with_ratios(figures, ratio_rows.chain(median), 3)
}

fn ratios_of(pairs: &[Pair]) -> Vec<Figures> {
    pairs.iter().map(|pair| pair.this_build.ratio(&pair.other_build)).collect()
}

/// Every pair with its ratio, and the medians of the ratios.
fn json(measured: &[(Workload, Vec<Pair>)]) -> serde_json::Result<String> {
    let workloads = measured.iter().map(|(workload, pairs)| {
        let ratios = ratios_of(pairs);
        let each = pairs.iter().zip(&ratios).map(|(pair, ratio)| {
            json!({
                "this_build": pair.this_build.json(),
                "other_build": pair.other_build.json(),
                "ratio": ratio.json(),
            })
        });
        json!({
            "workload": workload.name(),
            "pairs": each.collect::<Vec<_>>(),
            "median_ratio": Figures::median(&ratios).map(|median| median.json()),
        })
    });
    Ok(serde_json::to_string_pretty(&workloads.collect::<Vec<_>>())? + "\n")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn each_pair_has_its_ratio() {
        let figures = |rate| Figures([rate, 2.0, 9.0, 30.0, 20.0, 12.0, 0.0, 2.0]);
        let pairs = [(1010.0, 1000.0), (900.0, 1000.0), (1980.0, 2000.0)]
            .map(|(this, other)| Pair { this_build: figures(this), other_build: figures(other) });
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
