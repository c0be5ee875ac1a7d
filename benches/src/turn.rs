//! One turn: a contender in its own process serves a load for a while, and its costs are measured.

use std::time::Duration;

use archipelago_measure::{Column, FigureTable, Figures};

use crate::Failed;
use crate::child::Running;
use crate::cost::{CpuTime, memory_mib};
use crate::databases::Databases;
use crate::wrk::{Answers, Load};

/// The figures of a turn, in this order.
pub const COLUMNS: [Column; 8] = [
    Column::new("requests_per_second", "REQ/S", 0),
    Column::new("p50_ms", "P50 ms", 2),
    Column::new("p99_ms", "P99 ms", 2),
    Column::new("app_cpu_us_per_request", "APP CPU µs", 1),
    Column::new("postgres_cpu_us_per_request", "PG CPU µs", 1),
    Column::new("app_memory_mib", "MEMORY MiB", 1),
    Column::new("connections_to_the_primary", "TO PRIMARY", 0),
    Column::new("connections_to_the_replica", "TO REPLICA", 0),
];

/// A number for each of [`COLUMNS`].
pub type Costs = Figures<{ COLUMNS.len() }>;

/// The outcome of a turn.
#[derive(Clone, Debug)]
pub struct Turn {
    /// What the turn cost.
    pub costs: Costs,
    /// What was wrong with the answers, if any answer was wrong.
    pub problem: Option<String>,
}

impl Turn {
    /// The costs, if all answers were right. `subject` names the turn in the error.
    ///
    /// # Errors
    /// When an answer was wrong: then the figures must not be compared.
    pub fn costs_if_right(self, subject: &str) -> Result<Costs, Failed> {
        match self.problem {
            None => Ok(self.costs),
            Some(problem) => Err(wrong_answers(subject, &problem)),
        }
    }
}

/// The error of a measurement in which an answer was wrong.
pub fn wrong_answers(subject: &str, problem: &str) -> Failed {
    format!("nothing is compared, because answers were wrong: {subject}: {problem}").into()
}

/// Measures a contender under load, after `warm_up` seconds of the same load, and stops it.
///
/// # Errors
/// When the contender, a server or the client ends early.
pub async fn turn(
    running: Running,
    databases: &Databases,
    load: Load<'_>,
    warm_up: u64,
) -> Result<Turn, Failed> {
    let Databases { primary, replica, .. } = databases;
    let url = running.url("");
    let headers = load.visitors.headers(&url).await?;
    databases.catch_up().await?;
    Load { seconds: warm_up, ..load }.run(&url, &headers).await?;
    let cpu_time = || CpuTime::now(running.pid, [primary.postmaster, replica.postmaster]);
    let before = cpu_time()?;
    let (answers, connections) =
        tokio::try_join!(load.run(&url, &headers), databases.connections_after(load.half()))?;
    let after = cpu_time()?;
    let memory = memory_mib(running.pid)?;
    running.stop().await?;
    // The next turn begins with a replica that has replayed everything.
    databases.catch_up().await?;
    Ok(Turn {
        costs: costs(&answers, [before, after], memory, connections),
        problem: answers.problem(),
    })
}

fn costs(
    answers: &Answers,
    [before, after]: [CpuTime; 2],
    memory_mib: f64,
    [to_primary, to_replica]: [f64; 2],
) -> Costs {
    let micros = |time: Duration| time.as_secs_f64() * 1e6 / answers.requests.max(1.0);
    Figures([
        answers.per_second(),
        answers.p50 / 1000.0,
        answers.p99 / 1000.0,
        micros(after.app.saturating_sub(before.app)),
        micros(after.postgres.saturating_sub(before.postgres)),
        memory_mib,
        to_primary,
        to_replica,
    ])
}

/// A row for each of `rows`. Below them, for each of `pairs`, the ratio of the first of these two
/// rows to the second.
#[must_use]
pub fn comparison(
    rows: &[(String, Costs)],
    pairs: impl IntoIterator<Item = (usize, usize)>,
) -> String {
    let mut table = FigureTable::new(&[""], 1, &COLUMNS);
    for (name, costs) in rows {
        table.add([name.clone()], costs);
    }
    for (one, other) in pairs {
        let ((one, costs), (other, yardstick)) = (&rows[one], &rows[other]);
        table.add_ratio(format!("{one} / {other}"), &costs.ratio(yardstick), 2);
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn costs_are_those_of_one_request() {
        let answers = Answers {
            requests: 1000.0,
            seconds: 0.5,
            p50: 1500.0,
            p99: 2500.0,
            max: 9e9,
            refused: 0,
            broken: 0,
        };
        let at = |app, postgres| CpuTime {
            app: Duration::from_millis(app),
            postgres: Duration::from_millis(postgres),
        };
        let costs = costs(&answers, [at(100, 200), at(130, 260)], 3.0, [4.0, 16.0]);
        assert_eq!(costs, Figures([2000.0, 1.5, 2.5, 30.0, 60.0, 3.0, 4.0, 16.0]));
    }

    #[test]
    fn rows_and_ratios() {
        let rows = [
            (
                "hand-written".to_owned(),
                Figures([25_900.4, 2.31, 9.871, 27.2, 24.5, 12.0, 0.0, 16.0]),
            ),
            ("raw".to_owned(), Figures([47_400.0, 1.28, 10.0, 17.7, 9.7, 11.2, 2.0, 2.0])),
        ];
        expect![[r#"
                                REQ/S  P50 ms  P99 ms  APP CPU µs  PG CPU µs  MEMORY MiB  TO PRIMARY  TO REPLICA
            hand-written        25900    2.31    9.87        27.2       24.5        12.0           0          16
            raw                 47400    1.28   10.00        17.7        9.7        11.2           2           2
            raw / hand-written   1.83    0.55    1.01        0.65       0.40        0.93           -        0.12
        "#]]
        .assert_eq(&comparison(&rows, [(1, 0)]));
    }
}
