//! The time from a start of the app to its first answer, while its databases run.

use archipelago_measure::{Column, FigureTable, Figures, median, milliseconds};

use super::Options;
use super::first_answer::first_answer;
use crate::Failed;
use crate::contenders::Contender;
use crate::databases::Databases;

/// Starts the app again and again.
///
/// # Errors
/// When a start fails.
pub async fn measure(databases: &Databases, options: &Options) -> Result<String, Failed> {
    let (mut times, vars) = (Vec::new(), databases.vars()?);
    for start in 0..options.starts {
        eprintln!("start {} of {}", start + 1, options.starts);
        let (running, took) =
            first_answer(&Contender::Archipelago.arguments(), &vars, "/users").await?;
        running.stop().await?;
        times.push(milliseconds(took));
    }
    Ok(format!(
        "From before the process exists to the end of its first answer, to GET /users.\n{}",
        table(times)
    ))
}

const COLUMNS: [Column; 3] = [
    Column::new("fastest_ms", "FASTEST ms", 1),
    Column::new("median_ms", "MEDIAN ms", 1),
    Column::new("slowest_ms", "SLOWEST ms", 1),
];

fn table(times: Vec<f64>) -> String {
    let fastest = times.iter().copied().fold(f64::INFINITY, f64::min);
    let slowest = times.iter().copied().fold(0.0, f64::max);
    let mut table = FigureTable::new(&["STARTS"], 0, &COLUMNS);
    let starts = times.len().to_string();
    table.add([starts], &Figures([fastest, median(times), slowest]));
    table.text()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn the_median_and_both_ends() {
        expect![[r#"
            STARTS  FASTEST ms  MEDIAN ms  SLOWEST ms
                 4        48.0       56.6        99.0
        "#]]
        .assert_eq(&table(vec![61.26, 48.04, 99.0, 52.0]));
    }
}
