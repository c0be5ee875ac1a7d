//! A start of the app, its databases running: how long until it answers.

use archipelago_app::plain_table::{plain_table, trimmed};

use super::Options;
use super::first::first_answer;
use crate::Failed;
use crate::contenders::Contender;
use crate::databases::Databases;
use crate::figures::median;

/// One start after the other.
///
/// # Errors
/// When one fails.
pub async fn measure(databases: &Databases, options: &Options) -> Result<String, Failed> {
    let (mut found, vars) = (Vec::new(), databases.vars()?);
    for start in 0..options.starts {
        eprintln!("start {} of {}", start + 1, options.starts);
        let (running, took) =
            first_answer(&["serve", Contender::Archipelago.name()], &vars, "/users").await?;
        running.stop().await?;
        found.push(took.as_secs_f64() * 1000.0);
    }
    Ok(format!(
        "From before the process to the end of its first answer, to GET /users.\n{}",
        table(found)
    ))
}

fn table(milliseconds: Vec<f64>) -> String {
    let fastest = milliseconds.iter().copied().fold(f64::INFINITY, f64::min);
    let slowest = milliseconds.iter().copied().fold(0.0, f64::max);
    let mut table = plain_table(["STARTS", "FASTEST ms", "MEDIAN ms", "SLOWEST ms"], 0);
    let starts = milliseconds.len().to_string();
    table.add_row([
        starts,
        format!("{fastest:.1}"),
        format!("{:.1}", median(milliseconds)),
        format!("{slowest:.1}"),
    ]);
    trimmed(&table)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn the_middle_and_both_ends() {
        expect![[r#"
            STARTS  FASTEST ms  MEDIAN ms  SLOWEST ms
                 4        48.0       56.6        99.0
        "#]]
        .assert_eq(&table(vec![61.26, 48.04, 99.0, 52.0]));
    }
}
